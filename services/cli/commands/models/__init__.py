"""Video models: `neurocards models …`."""

from services.cli.commands.models.commands import register

__all__ = ["register"]
