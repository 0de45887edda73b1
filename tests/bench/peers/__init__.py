"""What somebody could use instead: ledgers for the ledger's benchmark, job queues for that of jobs.

The queues' pins contradict ours, so they run in processes and an environment of their own, which `make bench`
makes from requirements-peers.lock.
"""
