"""Advance P members together: randomness, state, optimiser, step, loop, checkpoints."""
