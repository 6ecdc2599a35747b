"""Where the numbers of a tensor lie in a `torch.save` file, from the record that describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lfads_torch.data.torch_archive.records import Name, PersistentId, Record

__all__ = ["TENSOR_NAMES", "StoredTensor", "size_of", "tensor_of"]

# The kind of numbers in each storage.
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool",
}  # fmt: skip
_TYPES = {
    "torch.float64": "float64", "torch.float32": "float32", "torch.float16": "float16",
    "torch.bfloat16": "bfloat16", "torch.int64": "int64", "torch.int32": "int32",
    "torch.int16": "int16", "torch.int8": "int8", "torch.uint8": "uint8", "torch.bool": "bool",
}  # fmt: skip
_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2,
    "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
_TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_TYPED_TENSOR = "torch._utils._rebuild_tensor_v3"
_PARAMETERS = (
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
)  # fmt: skip
_SUBCLASS = "torch._tensor._rebuild_from_type_v2"
_UNTYPED = "torch.storage.UntypedStorage"
TENSOR_NAMES = frozenset(
    (
        *_TENSORS, _TYPED_TENSOR, *_PARAMETERS, _SUBCLASS, *_TYPES, "torch.Tensor",
        "torch.nn.parameter.Parameter", _UNTYPED, *(f"torch.{kind}" for kind in _STORAGES),
    )
)  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's numbers lie in the file; nothing is read yet. Sizes count numbers."""

    key: str  # of the storage in the file
    kind: str  # float32, bfloat16, ...
    n_stored: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def tensor_of(value: Any) -> StoredTensor | None:
    """The tensor that a record describes; None where it describes something else, or wrongly."""
    for _ in range(8):  # a parameter around a subclass around a tensor
        if not isinstance(value, Record):
            return None
        if value.name in _TENSORS or value.name == _TYPED_TENSOR:
            return _plain_tensor(value)
        if value.name in _PARAMETERS and value.arguments:
            value = value.arguments[0]
        elif value.name == _SUBCLASS and len(value.arguments) >= 3:
            rebuild, arguments = value.arguments[0], value.arguments[2]
            if not isinstance(rebuild, Name) or not isinstance(arguments, tuple):
                return None
            value = Record(rebuild.text, arguments)
        else:
            return None
    return None


def _plain_tensor(record: Record) -> StoredTensor | None:
    if len(record.arguments) < 4:
        return None
    identity, offset, shape, stride = record.arguments[:4]
    shape, stride = _whole_numbers(shape), _whole_numbers(stride)
    stored = _storage(identity)
    if stored is None or shape is None or stride is None or len(shape) != len(stride):
        return None
    key, kind, n_stored = stored
    if record.name == _TYPED_TENSOR:
        named = record.arguments[6] if len(record.arguments) > 6 else None
        typed = _TYPES.get(named.text) if isinstance(named, Name) else None
        if typed is None or kind is not None:
            return None
        kind, n_stored = typed, n_stored // size_of(typed)
    if kind is None or not isinstance(offset, int) or offset < 0:
        return None
    return StoredTensor(key, kind, n_stored, offset, shape, stride)


def _storage(identity: Any) -> tuple[str, str | None, int] | None:
    """Key, kind (None: bytes without a type) and number of what a persistent id names."""
    if not isinstance(identity, PersistentId) or not isinstance(identity.value, tuple):
        return None
    if len(identity.value) != 5 or identity.value[0] != "storage":
        return None
    _, storage, key, _, n_stored = identity.value
    if not isinstance(storage, Name) or not isinstance(key, str) or not isinstance(n_stored, int):
        return None
    if storage.text == _UNTYPED:
        return key, None, n_stored
    kind = _STORAGES.get(storage.text.removeprefix("torch."))
    return None if kind is None else (key, kind, n_stored)


def size_of(kind: str) -> int:
    """Bytes of one number."""
    return _BYTES[kind]


def _whole_numbers(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Record) and value.name == "torch.Size" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, (tuple, list)) or len(value) > 16:
        return None
    fits = all(isinstance(each, int) and 0 <= each < 2**48 for each in value)
    return tuple(int(each) for each in value) if fits else None
