"""`python -m services.cli` is `neurocards`, also where the console script is not on PATH."""

from services.cli.main import app

app(prog_name="neurocards")
