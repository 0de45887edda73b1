"""Commands of `neurocards` on real databases."""
