"""Several recordings in one model: their start, their folders, their results, one more of them."""
