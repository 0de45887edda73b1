"""`neurocards payments …`: payments and refunds."""
