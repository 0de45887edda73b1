"""The worker on a real Postgres and Valkey, against the real sandbox."""
