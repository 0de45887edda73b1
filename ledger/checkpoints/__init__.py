"""Signed checkpoints of the log, the Merkle tree under them, and proofs of single events."""
