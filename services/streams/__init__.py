"""The two Redis streams: entries, readers, publisher, consumer, status."""
