"""Promo codes: `neurocards promo …`."""

from services.cli.commands.promo.commands import register

__all__ = ["register"]
