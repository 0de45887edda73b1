"""Tests of services/generation/prompts."""
