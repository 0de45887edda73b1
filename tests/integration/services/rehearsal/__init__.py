"""Tests: the verdict of demo, drills and chaos."""
