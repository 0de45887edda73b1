"""`neurocards replay …`: rebuilding read models."""

from services.cli.commands.replay.commands import register

__all__ = ["register"]
