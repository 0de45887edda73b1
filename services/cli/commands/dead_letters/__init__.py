"""`neurocards dead-letters …`: failed jobs that wait for an operator."""
