"""`neurocards ledger …`: what an auditor does. Reads only, but for `checkpoint`."""

from importlib import import_module
from pkgutil import iter_modules

import typer


def register(app: typer.Typer) -> None:
    ledger = typer.Typer(
        name="ledger", no_args_is_help=True, help="Read, check and prove the ledger; changes nothing."
    )
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}").register(ledger)
    app.add_typer(ledger)
