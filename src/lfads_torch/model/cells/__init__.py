"""Generator cells: the contract, and ours."""
