"""What is wrong or unusual in a recording, before any training."""
