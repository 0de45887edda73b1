"""Consumer of a stream: entries under leases. See consumer.py."""
