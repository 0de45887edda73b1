"""Failed jobs that wait for an operator: `neurocards dead-letters …`."""

from services.cli.commands.dead_letters.commands import register

__all__ = ["register"]
