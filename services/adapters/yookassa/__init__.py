"""YooKassa through its official SDK: payments and refunds in whole kopecks."""
