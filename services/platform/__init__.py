"""What every process stands on; knows nothing of credits and videos."""
