"""Tests: unit, arena."""
