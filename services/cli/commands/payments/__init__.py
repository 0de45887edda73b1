"""`neurocards payments …`: payments and refunds."""

from services.cli.commands.payments.commands import register

__all__ = ["register"]
