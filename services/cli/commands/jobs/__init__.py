"""Jobs: `neurocards jobs …`."""

from services.cli.commands.jobs.commands import register

__all__ = ["register"]
