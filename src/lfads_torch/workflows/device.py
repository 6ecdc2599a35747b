"""Where to compute, and what to say when that is impossible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lfads_torch.errors import OutOfMemoryError, SettingsError

if TYPE_CHECKING:
    import torch

    from lfads_torch.config.settings import RunSettings

__all__ = ["choose_device", "memory_errors", "number_type"]


def choose_device(settings: RunSettings) -> torch.device:
    """The device asked for; also sets the number of threads of this process.

    Raises SettingsError where CUDA is asked for and absent.
    """
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)
    has_cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not has_cuda:
        raise SettingsError(
            "run.device is cuda, but this PyTorch finds no CUDA device. Use device cpu (--device "
            "cpu), or "
            "install a CUDA build of PyTorch and check `nvidia-smi`."
        )
    wants_cuda = settings.device == "cuda" or (settings.device == "auto" and has_cuda)
    return torch.device("cuda" if wants_cuda else "cpu")


def number_type(settings: RunSettings) -> torch.dtype:
    """The type of all numbers of a run."""
    import torch

    return torch.float64 if settings.precision == "float64" else torch.float32


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn an allocation that failed into an OutOfMemoryError that says what to change."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_little(str(error)) from error
    except RuntimeError as error:
        # The CPU's allocator has no error class of its own.
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise _too_little(str(error)) from error
        raise


def _too_little(found: str) -> OutOfMemoryError:
    first = found.strip().splitlines()[0] if found.strip() else "no details given"
    return OutOfMemoryError(
        f"memory ran out ({first}). Lower training.batch_size, run.n_seeds or "
        "inference.batch_size, or use a smaller preset; `lfads check` estimates what a fit needs."
    )
