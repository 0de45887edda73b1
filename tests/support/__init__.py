"""What the tests share: servers, processes, bounded waits."""
