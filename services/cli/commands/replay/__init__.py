"""Read models made anew: `neurocards replay …`."""

from services.cli.commands.replay.commands import register

__all__ = ["register"]
