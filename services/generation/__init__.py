"""Catalogue, prompts, limits and errors of generation, without I/O to companies."""
