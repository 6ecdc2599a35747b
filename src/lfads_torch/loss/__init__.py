"""Rates to one number per member: likelihood, divergences, penalty."""
