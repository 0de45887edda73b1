"""What the command line and the dashboard both do: find, plan, change."""
