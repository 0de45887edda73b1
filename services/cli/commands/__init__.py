"""One module per group of commands; each has `register(app)` and imports what it needs only when it runs."""
