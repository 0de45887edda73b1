"""The monitor on a real Postgres, and as a process that has nothing else."""
