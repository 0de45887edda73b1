"""The record: group commit, positions and hash chain, reads, snapshots."""
