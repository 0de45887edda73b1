"""The worker: takes jobs from the stream and carries them out."""
