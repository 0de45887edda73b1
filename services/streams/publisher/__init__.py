"""Publisher of both streams, for the relay and `neurocards recover`."""
