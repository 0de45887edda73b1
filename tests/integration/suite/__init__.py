"""The suite's own machinery, shown with small sessions of pytest."""
