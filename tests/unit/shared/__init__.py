"""Tests of services/shared."""
