"""Between generations: what is searched, who is copied, what changes, when to stop."""
