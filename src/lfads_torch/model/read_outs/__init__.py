"""Read-outs: the contract, and ours."""
