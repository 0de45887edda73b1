"""The projections' tables, views and cursors; see `ledger.migrations`."""
