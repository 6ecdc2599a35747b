"""The errors a user can cause: each says where, what was found, what is needed, what to do."""

from __future__ import annotations

__all__ = [
    "DataError",
    "DivergenceError",
    "FormatError",
    "KernelError",
    "LfadsError",
    "OutOfMemoryError",
    "OutputError",
    "RunError",
    "SettingsError",
]


class LfadsError(Exception):
    """Base of every error that lfads-torch raises for something a user can mend."""


class DataError(LfadsError, ValueError):
    """The values or shapes of a recording do not allow what was asked."""


class FormatError(LfadsError, ValueError):
    """A file is not of a kind that can be read, or lacks something that its kind must have."""


class SettingsError(LfadsError, ValueError):
    """A setting is unknown, of the wrong type, out of range or in conflict with another one."""


class KernelError(LfadsError, ArithmeticError):
    """The kernels that were chosen do not give the numbers of the reference on this machine."""


class RunError(LfadsError, RuntimeError):
    """A run folder is missing, incomplete, or does not fit what was asked of it."""


class OutputError(LfadsError, OSError):
    """A result could not be written; nothing half-written is left behind."""


class DivergenceError(LfadsError, ArithmeticError):
    """Training left the finite numbers and could not be brought back."""


class OutOfMemoryError(LfadsError, MemoryError):
    """The device has too little memory for the model, batch or population."""
