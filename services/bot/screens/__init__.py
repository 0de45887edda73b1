"""What the chat shows: texts with their keyboards."""
