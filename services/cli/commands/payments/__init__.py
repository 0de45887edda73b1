"""Payments and refunds: `neurocards payments …`."""

from services.cli.commands.payments.commands import register

__all__ = ["register"]
