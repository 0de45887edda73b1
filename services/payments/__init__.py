"""Buying credits: what is sold, and the desk where payments are made, checked, settled and sent back."""
