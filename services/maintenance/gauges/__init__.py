"""What is measured on a schedule."""
