"""How long a video takes just now: render times out of the log, what waits, and the estimate made of both."""
