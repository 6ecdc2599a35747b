"""Encoders: the contract, and ours."""
