"""The log: group commit, positions, hash chain, reads, snapshots."""
