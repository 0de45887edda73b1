"""What is read on demand: statements, books, journal, causes."""
