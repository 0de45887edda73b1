"""The read models, one module per question."""
