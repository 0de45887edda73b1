"""`neurocards ledger …`: an auditor's commands. They read, but for `checkpoint`, `cosign`, `rotate-key`."""

import typer

from services.cli.commands import add_group
from services.cli.commands.ledger import audit, books, checkpoints, events, export, keys, proofs, verify


def register(app: typer.Typer) -> None:
    commands = {
        "access": audit.access,
        "actions": audit.actions,
        "balance": books.balance,
        "checkpoint": checkpoints.checkpoint,
        "cosign": checkpoints.cosign,
        "checkpoints": checkpoints.checkpoints,
        "verify-checkpoint": checkpoints.verify_checkpoint,
        "compare-checkpoints": checkpoints.compare_checkpoints,
        "exceptions": audit.exceptions,
        "explain": events.explain,
        "export": export.export,
        "verify-export": export.verify_export,
        "journal": events.journal,
        "keygen": keys.keygen,
        "public-key": keys.public_key,
        "rotate-key": keys.rotate_key,
        "prove": proofs.prove,
        "verify-proof": proofs.verify_proof,
        "reads": audit.reads,
        "sample": audit.sample,
        "statement": books.statement,
        "trial-balance": books.trial_balance,
        "verify": verify.verify,
    }
    add_group(app, "ledger", "Read, check and prove the ledger; changes nothing.", commands)
