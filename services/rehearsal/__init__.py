"""`neurocards demo`: whole cycles with faults, played through the chat, and proof that no credit is lost."""
