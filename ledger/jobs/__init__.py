"""Jobs: from the queue to a video or a refund, and what operators do by hand."""
