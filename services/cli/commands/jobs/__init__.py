"""Jobs: `neurocards jobs …`."""
