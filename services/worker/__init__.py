"""Generation: takes a job from the stream and brings it to its end."""
