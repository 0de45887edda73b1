"""The parts of `neurocards demo` that need no system."""
