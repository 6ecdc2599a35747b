"""Every score of a run, one kind per file."""
