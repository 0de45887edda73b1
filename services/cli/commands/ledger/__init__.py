"""`neurocards ledger …`: an auditor's commands."""
