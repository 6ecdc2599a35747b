"""Priors of the inferred inputs and initial conditions; one per file."""
