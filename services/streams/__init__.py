"""Redis streams `ledger` and `jobs`: entries, readers, publisher, consumer, status."""
