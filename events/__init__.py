"""Events in the past tense, envelope and codec. Imports only msgspec and the standard library."""
