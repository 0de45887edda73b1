"""Infrastructure of every process; knows nothing of credits and videos."""
