"""The leased consumer on a real Valkey."""
