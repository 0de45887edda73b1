"""Random names for what events refer to."""

import secrets


def new_id() -> str:
    """24 hex characters, 96 random bits: fits in a button's 64 bytes and tells nothing of whom it names."""
    return secrets.token_hex(12)
