"""Between generations: which hyperparameters are searched, who is copied, what is changed, when to stop."""
