"""`neurocards stats …`: statistics."""

from services.cli.commands.stats.commands import register

__all__ = ["register"]
