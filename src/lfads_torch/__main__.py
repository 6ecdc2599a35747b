"""`python -m lfads_torch` is the command `lfads`."""

from __future__ import annotations

from lfads_torch.cli.app import main

if __name__ == "__main__":
    main()
