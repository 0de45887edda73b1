"""What admins may do in the chat."""
