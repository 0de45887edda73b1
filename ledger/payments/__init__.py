"""Payments: orders, settlements, money refunds."""
