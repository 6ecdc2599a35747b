"""What a plug-in gave back, held against its contract before anything of ours works with it.

Shapes and kinds alone are looked at: they are known without waiting for the device. Parts of ours
are not looked at, the tests do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, TypeVar

from lfads_torch.errors import SettingsError

__all__ = ["is_plugin", "refuse_returned", "returned_kind", "returned_tensor"]

T = TypeVar("T")
_OURS = "lfads_torch"
_TESTS = {
    "Augmentation": "AugmentationContract",
    "Encoder": "EncoderContract",
    "GeneratorCell": "GeneratorCellContract",
    "Observation": "ObservationContract",
    "Prior": "PriorContract",
    "ReadOut": "ReadOutContract",
    "Reader": "ReaderContract",
    "SelectionRule": "SelectionContract",
}


def is_plugin(part: object) -> bool:
    """Whether the part's class comes from outside of this package."""
    return not _is_ours(type(part).__module__)


def returned_kind(part: object, method: str, value: object, kind: type[T]) -> T:
    """`value`, if a plug-in's method gave back a `kind`; else SettingsError names both."""
    if is_plugin(part) and not isinstance(value, kind):
        refuse_returned(part, method, value, f"a {kind.__module__}.{kind.__qualname__}")
    return value  # type: ignore[return-value]  # ours are typed


def returned_tensor(
    part: object,
    method: str,
    value: T,
    shape: Sequence[int | None],
    *,
    axes: str,
    finite: bool = False,
) -> T:
    """`value`, if it is a floating tensor of this shape; None in `shape` stands for any size.

    `axes` is how the contract calls the shape. `finite` also looks at the values, for which the
    device must be waited for: only where nothing trains yet.
    """
    if not is_plugin(part):
        return value
    from torch import Tensor

    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    needed = f"a floating tensor [{axes}], here [{sizes}]"
    fits = isinstance(value, Tensor) and value.is_floating_point() and value.ndim == len(shape)
    if not fits or any(
        size is not None and found != size
        for found, size in zip(value.shape, shape, strict=True)  # type: ignore[attr-defined]
    ):
        refuse_returned(part, method, value, needed)
    if finite and not bool(value.isfinite().all()):  # type: ignore[attr-defined]
        refuse_returned(part, method, value, "finite numbers", because=" with NaN or infinity")
    return value


def refuse_returned(
    part: object, method: str, value: object, needed: str, *, because: str = ""
) -> NoReturn:
    """SettingsError: the plug-in by name, what it gave back, what its contract asks for."""
    own, contract = type(part), _contract(type(part))
    test = _TESTS.get(contract.__name__)
    tests = f"; lfads_torch.testing.{test} tests it" if test else ""
    raise SettingsError(
        f"the plug-in {own.__module__}:{own.__qualname__}: its {method} gave back "
        f"{_told(value)}{because}; {needed} is needed ({contract.__module__}.{contract.__name__} "
        f"has the contract). Mend the plug-in{tests}."
    )


def _contract(kind: type) -> type:
    """The class of ours from which all others of ours that it derives from are derived."""
    ours = [base for base in kind.__mro__ if _is_ours(base.__module__)]
    return ours[-1] if ours else kind


def _is_ours(module: str) -> bool:
    return module == _OURS or module.startswith(f"{_OURS}.")


def _told(value: object) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        sizes = ", ".join(str(size) for size in shape)
        return f"{type(value).__name__} [{sizes}] of {str(dtype).removeprefix('torch.')}"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("a builtins.", "a ")
