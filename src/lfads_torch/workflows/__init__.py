"""What a user asks for, from start to end; the command line and the Python estimator both call these."""
