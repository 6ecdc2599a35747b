"""What the records of a `torch.save` file mean: tensors, containers, numbers and plain objects.

Only data are made of them. A name that is not listed here stays a record, or becomes a mapping of
its attributes under `_target_`, whatever it stands for elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from lfads_torch.data.torch_archive.records import Name, Record
from lfads_torch.data.torch_archive.stored_tensor import TENSOR_NAMES, tensor_of

__all__ = ["TARGET", "entries_of", "is_known", "plain"]

TARGET = "_target_"

_MAPPINGS = (
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict",
    "__builtin__.dict", "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)  # fmt: skip
_SEQUENCES = (
    "builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "__builtin__.set",
    "__builtin__.frozenset", "collections.deque", "torch.Size",
)  # fmt: skip
_PATHS = (
    "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
    "pathlib._local.PosixPath", "pathlib._local.WindowsPath",
)  # fmt: skip
_NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_NUMPY_TYPE, _LATIN1 = "numpy.dtype", "_codecs.encode"
_SCALARS = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q",
    "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip
_OMEGACONF = "omegaconf."
_KNOWN = frozenset(
    (
        *TENSOR_NAMES, *_MAPPINGS, *_SEQUENCES, *_PATHS, *_NUMPY_SCALARS, _NUMPY_TYPE, _LATIN1,
        "torch.device", "argparse.Namespace", "builtins.int", "builtins.float", "builtins.str",
        "builtins.bool", "builtins.bytes", "typing.Any", "collections.abc.Callable",
    )
)  # fmt: skip
_KNOWN_FAMILIES = (
    "lfads_torch.", "torch.nn.", "torch.distributions.", "torch.optim.", "pytorch_lightning.",
    "lightning.", "torchmetrics.", _OMEGACONF,
)  # fmt: skip

_DEEPEST, _MOST_VALUES = 40, 50_000


def is_known(name: str) -> bool:
    """Whether files of lfads-torch usually hold this name; it is read as data either way."""
    return name in _KNOWN or name.startswith(_KNOWN_FAMILIES)


def entries_of(value: Any) -> dict[Any, Any] | None:
    """The entries of a dictionary or of a record that stands for one; None for anything else.

    Of an ordered dictionary its pairs, of one from a configuration its content; a key that is no
    text or number is left out.
    """
    if isinstance(value, dict):
        return value
    if not isinstance(value, Record):
        return None
    if value.name.startswith(_OMEGACONF):
        content = _attributes(value).get("_content")
        return content if isinstance(content, dict) else None
    if value.name not in _MAPPINGS:
        return None
    pairs: list[tuple[Any, Any]] = []
    given = value.arguments[0] if value.arguments else ()
    for pair in given if isinstance(given, (list, tuple)) else ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            pairs.append((pair[0], pair[1]))
    pairs += value.entries
    return {key: each for key, each in pairs if isinstance(key, (str, int)) or key is None}


def _attributes(record: Record) -> dict[Any, Any]:
    """The attributes that an object's state would have set."""
    found: dict[Any, Any] = {}
    for state in record.states:
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        for part in parts:
            if isinstance(part, dict):
                found.update(part)
    return found


class _Budget:
    """Keeps the walk over shared or circular values finite."""

    def __init__(self) -> None:
        self.left = _MOST_VALUES

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def plain(value: Any) -> Any:
    """Plain values of what a pickle holds: numbers, text, lists, mappings, tensors' places.

    An object becomes a mapping of its attributes with its name under `_target_`, as a Hydra
    configuration would name it. What is nested too deeply, or is too much, becomes None.
    """
    return _plain(value, _Budget(), 0)


def _plain(value: Any, budget: _Budget, depth: int) -> Any:
    if depth > _DEEPEST or not budget.spend():
        return None
    if isinstance(value, (str, int, float, bytes, bytearray, type(None))):
        return value
    if isinstance(value, dict):
        return {key: _plain(each, budget, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return _plain_list(value, budget, depth)
    if isinstance(value, Name):
        return value.text
    return _plain_record(value, budget, depth) if isinstance(value, Record) else None


def _plain_list(values: Iterable[Any], budget: _Budget, depth: int) -> list[Any]:
    made = []
    for each in values:
        if budget.left <= 0:
            break
        made.append(_plain(each, budget, depth + 1))
    return made


def _plain_record(record: Record, budget: _Budget, depth: int) -> Any:
    tensor = tensor_of(record)
    if tensor is not None:
        return tensor
    if record.name in _SEQUENCES:
        given = record.arguments[0] if record.arguments else ()
        listed = given if isinstance(given, (list, tuple)) else ()
        return _plain_list([*listed, *record.elements], budget, depth)
    if record.name in _PATHS:
        return "/".join(part for part in record.arguments if isinstance(part, str))
    if record.name in _NUMPY_SCALARS:
        return _number(record)
    if record.name.startswith(_OMEGACONF):
        found = _attributes(record)
        return _plain(found.get("_content", found.get("_val")), budget, depth + 1)
    entries = entries_of(record)
    if entries is not None:
        return _plain(entries, budget, depth + 1)
    if record.name == "argparse.Namespace":
        return _plain(_attributes(record), budget, depth + 1)
    content = _plain(_attributes(record), budget, depth + 1) or {}
    return {TARGET: record.name, **content}


def _number(record: Record) -> float | int | None:
    """The value of a NumPy scalar: its type and its bytes."""
    if len(record.arguments) != 2 or not isinstance(record.arguments[0], Record):
        return None
    kind, content = record.arguments[0], _bytes(record.arguments[1])
    code = kind.arguments[0] if kind.name == _NUMPY_TYPE and kind.arguments else None
    letter = _SCALARS.get(code.lstrip("<>|=")) if isinstance(code, str) else None
    if letter is None or content is None:
        return None
    state = kind.states[0] if kind.states else ()
    is_big = isinstance(state, tuple) and len(state) > 1 and state[1] == ">"
    try:
        (number,) = struct.unpack((">" if is_big else "<") + letter, content)
    except struct.error:
        return None
    return number if isinstance(number, (int, float)) else None


def _bytes(value: Any) -> bytes | None:
    """Bytes, also where protocol 2 wrote them as a text to be encoded."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Record) and value.name == _LATIN1 and len(value.arguments) == 2:
        text, encoding = value.arguments
        if isinstance(text, str) and encoding in ("latin1", "latin-1"):
            return text.encode("latin1", "replace")
    return None
