"""What can be ordered and how it is made, without I/O to companies."""
