"""`neurocards backup …`: taking backups and restoring them."""
