"""`neurocards stats …`: statistics."""
