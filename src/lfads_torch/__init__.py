"""LFADS and AutoLFADS: latent dynamics, single-trial rates and inferred inputs from spike counts.

The names below load what they need when they are first used, so that `import lfads_torch` and
`lfads --help` stay fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.autolfads import AutoLFADS
    from lfads_torch.workflows.estimator import LFADS

__all__ = ["LFADS", "AutoLFADS", "Recording", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    homes = {
        "AutoLFADS": "lfads_torch.workflows.autolfads",
        "LFADS": "lfads_torch.workflows.estimator",
        "Recording": "lfads_torch.data.recording",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
