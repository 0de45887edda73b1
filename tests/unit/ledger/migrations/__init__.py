"""Tests of ledger/migrations, without a server."""
