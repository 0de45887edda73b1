"""The seller's chat."""
