"""Runs the command line in this process; its commands are made once, not for each call as typer does."""

from functools import cache

from typer import main, testing
from typer.testing import CliRunner, Result

vars(testing)["_get_command"] = cache(main.get_command)

__all__ = ["CliRunner", "Result"]
