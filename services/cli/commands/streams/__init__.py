"""The Redis streams: `neurocards streams …`."""

from services.cli.commands.streams.commands import register

__all__ = ["register"]
