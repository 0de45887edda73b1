"""Backups and the way back from them: `neurocards backup …`."""

from services.cli.commands.backup.commands import register

__all__ = ["register"]
