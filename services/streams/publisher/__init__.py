"""Writing the two streams: the relay publishes, and `neurocards recover` makes them anew."""
