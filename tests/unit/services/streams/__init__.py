"""Tests of services/streams."""
