"""`neurocards backup …`: taking backups and restoring them."""

from services.cli.commands.backup.commands import register

__all__ = ["register"]
