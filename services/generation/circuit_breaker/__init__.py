"""Which video models may be used just now: rules (circuit), their record (book), a cached view (circuits)."""
