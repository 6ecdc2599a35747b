"""The recurrences as pure tensor functions: every backend beside the reference that defines it."""
