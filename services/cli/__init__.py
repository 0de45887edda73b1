"""The command line: `neurocards ...`; the only place that starts other services."""
