"""Observation models, one family per file."""
