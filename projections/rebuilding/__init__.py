"""How `projections.rebuild.run` works: a source of events, tables filled, compared and swapped."""
