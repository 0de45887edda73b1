"""Money through YooKassa: the desk, notifications, the monitor's part, refunds, comparisons."""
