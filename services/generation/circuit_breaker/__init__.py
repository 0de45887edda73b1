"""Circuit breaker of video models: rules, state in Postgres, cached view."""
