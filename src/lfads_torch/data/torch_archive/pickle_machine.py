"""A pickle read without running it: a small interpreter of the pickle language.

Python's own unpickler imports every global that a pickle names and calls whatever the pickle
wants called; overriding `find_class` makes that safer, but leaves its C code with the rest (a
memo index of 2^31 alone lets it allocate gigabytes). This interpreter is inert by construction:
it takes the operations one by one from `pickletools.genops`, which only cuts bytes into
operations, and knows no name at all. A global becomes a `Name`, anything called, instantiated or
given a state becomes a `Record`; there is no import, no lookup of attributes and no call of
anything that comes from the file, whichever of the operations GLOBAL, STACK_GLOBAL, INST, OBJ,
NEWOBJ, NEWOBJ_EX, REDUCE, BUILD, EXT or PERSID asks for it. What known names mean is decided
elsewhere (`contents.py`), on the finished records.

Memory and time stay in proportion to the file: the memo is a dictionary (an index allocates
nothing), operations are limited in number, nothing is hashed but short plain keys (the hash of
tuples of tuples can take exponential time), and nothing is walked recursively.
"""

from __future__ import annotations

import pickletools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lfads_torch.data.torch_archive.records import Name, PersistentId, Record

__all__ = ["PickleContent", "PickleError", "read_pickle"]

MOST_OPERATIONS = 5_000_000


class PickleError(ValueError):
    """The bytes are no pickle, or one that cannot be what `torch.save` wrote."""


@dataclass(frozen=True)
class PickleContent:
    """The value of a pickle, and how often it wanted each name called or used."""

    value: Any  # plain values, containers, names and records
    names: Counter[str]


class _Mark:
    """Where a collection begins on the stack."""


_MARK = _Mark()


@dataclass
class _Machine:
    """The state of the reading: Any stands for whatever a pickle can hold."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise PickleError("a collection ends that never began")
        return value

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise PickleError("a collection ends that never began")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise PickleError("a collection ends that never began")

    def name(self, text: str) -> Name:
        self.names[text] += 1
        return Name(text)


def read_pickle(content: bytes) -> PickleContent:
    """The value that a pickle describes, with records in place of objects. Raises PickleError."""
    machine = _Machine()
    try:
        for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if number >= MOST_OPERATIONS:
                raise PickleError(f"it has more than {MOST_OPERATIONS} operations")
            if operation.name == "STOP":
                return PickleContent(machine.pop(), machine.names)
            _step(machine, operation.name, argument)
    except PickleError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise PickleError(f"it is damaged ({error})") from error
    raise PickleError("it ends too early")


def _step(machine: _Machine, operation: str, argument: Any) -> None:
    if operation in _PUSHED:
        machine.stack.append(argument)
    elif operation in _CONSTANTS:
        machine.stack.append(_CONSTANTS[operation]())
    elif operation in _ACTIONS:
        _ACTIONS[operation](machine, argument)
    elif operation not in ("PROTO", "FRAME", "READONLY_BUFFER"):
        raise PickleError(f"the operation {operation} has no place in it")


# Operations that push their own argument, as `pickletools` has decoded it.
_PUSHED = frozenset(
    (
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
        "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    )
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Record("builtins.set"),
    "MARK": lambda: _MARK,
    "NEXT_BUFFER": lambda: Record("out-of-band buffer"),
}


def _collect(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.pop_to_mark())


def _make_tuple(size: int | None) -> Callable[[_Machine, Any], None]:
    def act(machine: _Machine, argument: Any) -> None:
        items = machine.pop_to_mark() if size is None else [machine.pop() for _ in range(size)]
        machine.stack.append(tuple(items if size is None else reversed(items)))

    return act


def _make_dict(machine: _Machine, argument: Any) -> None:
    made: dict[Any, Any] = {}
    _put(made, machine.pop_to_mark())
    machine.stack.append(made)


def _make_frozenset(machine: _Machine, argument: Any) -> None:
    elements = machine.pop_to_mark()
    machine.stack.append(Record("builtins.frozenset", elements=elements))


def _append(machine: _Machine, argument: Any) -> None:
    value = machine.pop()
    _extend(machine.top(), [value])


def _appends(machine: _Machine, argument: Any) -> None:
    values = machine.pop_to_mark()
    _extend(machine.top(), values)


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Record):
        target.elements.extend(values)
    else:
        raise PickleError(f"elements are added to a {type(target).__name__}")


def _set_item(machine: _Machine, argument: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _put(machine.top(), [key, value])


def _set_items(machine: _Machine, argument: Any) -> None:
    pairs = machine.pop_to_mark()
    _put(machine.top(), pairs)


def _put(target: Any, flat: list[Any]) -> None:
    if len(flat) % 2:
        raise PickleError("a key has no value")
    pairs = zip(flat[::2], flat[1::2], strict=True)
    if isinstance(target, Record):
        target.entries.extend(pairs)
    elif isinstance(target, dict):
        for key, value in pairs:
            target[key if _is_plain_key(key) else f"key {len(target)}"] = value
    else:
        raise PickleError(f"entries are added to a {type(target).__name__}")


def _is_plain_key(key: Any) -> bool:
    if isinstance(key, int):
        return -(2**63) <= key < 2**63
    return key is None or isinstance(key, (str, bytes, float))


def _pop(machine: _Machine, argument: Any) -> None:
    machine.stack.pop()


def _duplicate(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.top())


def _pop_mark(machine: _Machine, argument: Any) -> None:
    machine.pop_to_mark()


def _get(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.memo[argument])


def _remember(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.top()


def _global(machine: _Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.name(f"{module}.{name}"))


def _stack_global(machine: _Machine, argument: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise PickleError("a global has no name")
    machine.stack.append(machine.name(f"{module}.{name}"))


def _extension(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.name(f"copyreg extension {argument}"))


def _reduce(machine: _Machine, argument: Any) -> None:
    arguments, callee = machine.pop(), machine.pop()
    machine.stack.append(_called(callee, arguments))


def _new_object_with_names(machine: _Machine, argument: Any) -> None:
    named, arguments, callee = machine.pop(), machine.pop(), machine.pop()
    made = _called(callee, arguments)
    made.named_arguments = named
    machine.stack.append(made)


def _instance(machine: _Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    arguments = machine.pop_to_mark()
    machine.stack.append(_called(machine.name(f"{module}.{name}"), tuple(arguments)))


def _object(machine: _Machine, argument: Any) -> None:
    callee, *arguments = machine.pop_to_mark()
    machine.stack.append(_called(callee, tuple(arguments)))


def _called(callee: Any, arguments: Any) -> Record:
    if not isinstance(arguments, tuple):
        arguments = (arguments,)
    if isinstance(callee, Name):
        return Record(callee.text, arguments)
    return Record("", arguments, callee=callee)


def _build(machine: _Machine, argument: Any) -> None:
    state = machine.pop()
    target = machine.top()
    if isinstance(target, Record):
        target.states.append(state)


def _persistent(machine: _Machine, argument: Any) -> None:
    machine.stack.append(PersistentId(machine.pop() if argument is None else argument))


_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "LIST": _collect,
    "TUPLE": _make_tuple(None),
    "TUPLE1": _make_tuple(1),
    "TUPLE2": _make_tuple(2),
    "TUPLE3": _make_tuple(3),
    "DICT": _make_dict,
    "FROZENSET": _make_frozenset,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "POP": _pop,
    "DUP": _duplicate,
    "POP_MARK": _pop_mark,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "REDUCE": _reduce,
    "BUILD": _build,
    "INST": _instance,
    "OBJ": _object,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_object_with_names,
    "PERSID": _persistent,
    "BINPERSID": _persistent,
}
