"""What every read model shares: tables, cursors, the runner, state roots."""
