"""The dashboard: pages for owners, operators and auditors. A process of its own, never part of `web`."""
