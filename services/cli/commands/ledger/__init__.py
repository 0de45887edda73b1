"""`neurocards ledger …`: what an auditor does. Reads only, but for `checkpoint`."""

import typer

from services.cli.commands import add_group
from services.cli.commands.ledger import books, checkpoints, events, export, verify


def register(app: typer.Typer) -> None:
    commands = {
        "balance": books.balance,
        "checkpoint": checkpoints.checkpoint,
        "verify-checkpoint": checkpoints.verify_checkpoint,
        "explain": events.explain,
        "export": export.export,
        "verify-export": export.verify_export,
        "journal": events.journal,
        "keygen": checkpoints.keygen,
        "public-key": checkpoints.public_key,
        "prove": checkpoints.prove,
        "verify-proof": checkpoints.verify_proof,
        "statement": books.statement,
        "trial-balance": books.trial_balance,
        "verify": verify.verify,
    }
    add_group(app, "ledger", "Read, check and prove the ledger; changes nothing.", commands)
