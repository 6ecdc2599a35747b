"""Files that `torch.save` has written, read as data: no code in them is ever run."""
