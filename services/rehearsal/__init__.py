"""Rehearsals for `neurocards demo|drill`: cycles with faults, and a verdict."""
