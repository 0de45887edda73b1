"""The bot against a real Postgres, a real Valkey and the sandbox."""
