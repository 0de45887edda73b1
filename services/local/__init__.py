"""Embedded servers and the supervisor behind `neurocards up`."""
