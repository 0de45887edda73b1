"""Work from a stream, shared by many processes, each entry held under a lease. See consumer.py."""
