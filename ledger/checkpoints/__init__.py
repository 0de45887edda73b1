"""Signed checkpoints, the log's Merkle tree, inclusion proofs."""
