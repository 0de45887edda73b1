"""How `projections.rebuild` works: a source of events, tables filled, compared and swapped."""
