"""The system itself: starts of processes, pauses of sales, caps of spending."""
