"""Tests of services/recovery."""
