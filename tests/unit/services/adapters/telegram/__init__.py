"""Tests of services/adapters/telegram."""
