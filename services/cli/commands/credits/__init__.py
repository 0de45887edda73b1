"""Credits given and taken by hand: `neurocards credits …`."""

from services.cli.commands.credits.commands import register

__all__ = ["register"]
