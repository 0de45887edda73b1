"""The notifier against real Postgres and Valkey and a scripted Telegram."""
