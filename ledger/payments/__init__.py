"""Payments: orders, settlements, and money that goes back."""
