"""Jobs: from the queue to a video or a refund, and operators' decisions."""
