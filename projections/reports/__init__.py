"""Reports on demand: statements, books, journal, causes."""
