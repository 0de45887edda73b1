"""The estimate of waiting."""
