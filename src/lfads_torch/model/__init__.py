"""Counts to factors and rates, every tensor with the member axis P first."""
