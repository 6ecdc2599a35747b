"""What a user asks for, from start to end; command line and estimator both call these."""
