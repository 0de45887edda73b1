"""Tests of services/platform."""
