"""YooKassa through its official SDK: payments and refunds, with timeouts, typed errors and whole kopecks."""
