"""Shared by all read models: tables, cursors, runner, state roots."""
