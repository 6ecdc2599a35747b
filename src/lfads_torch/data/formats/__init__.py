"""Files that hold recordings, told apart by content: one reader per file (`choose.py`)."""
