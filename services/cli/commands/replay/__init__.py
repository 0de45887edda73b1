"""`neurocards replay …`: rebuilding read models."""
