"""`neurocards dead-letters …`: failed jobs that wait for an operator."""

from services.cli.commands.dead_letters.commands import register

__all__ = ["register"]
