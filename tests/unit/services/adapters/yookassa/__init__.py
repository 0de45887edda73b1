"""The YooKassa adapter."""
