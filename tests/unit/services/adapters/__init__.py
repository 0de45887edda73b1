"""Tests of services/adapters."""
