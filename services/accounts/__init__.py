"""Who an account is: personal data, and its erasure."""
