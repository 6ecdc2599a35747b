"""Parts of NWB files that may be other than the schema says: groups, columns, ends of rows, links.

Every function names the file, the place in it, what was found and what is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.hdf5_arrays import dataset_values
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    import h5py

__all__ = [
    "broken_link",
    "children",
    "group_at",
    "groups_below",
    "row_ends",
    "table_ids",
    "values_of",
]

MEND = "Write the file again, or check it with nwbinspector."


def children(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Name and group or dataset of what lies in a group; None where a link leads nowhere."""
    for name in group:
        yield name, _item(group, name)


def groups_below(group: h5py.Group, *, seen: set[h5py.Group] | None = None) -> Iterator[h5py.Group]:
    """The group and every group below it, each once: links may lead in circles."""
    import h5py

    seen = set() if seen is None else seen
    if group in seen:  # h5py compares what is opened, not the path by which
        return
    seen.add(group)
    yield group
    for _, item in children(group):
        if isinstance(item, h5py.Group):
            yield from groups_below(item, seen=seen)


def broken_link(group: h5py.Group, name: str) -> str | None:
    """Where a link leads to that leads nowhere, in words; None of what is there, or absent."""
    import h5py

    link = group.get(name, getlink=True)
    if link is None or isinstance(link, h5py.HardLink) or _item(group, name) is not None:
        return None
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {link.path} in the file {link.filename}, which can't be opened from here"
    return f"a link to {link.path}, which is not in the file"


def group_at(path: Path, file: h5py.File, where: str) -> h5py.Group | None:
    """The group, None where there is none; FormatError for a broken link or a dataset."""
    import h5py

    parent: h5py.Group = file
    *above, last = where.split("/")
    for name in above:
        found = _item(parent, name)
        if not isinstance(found, h5py.Group):
            return None
        parent = found
    link = broken_link(parent, last)
    if link is not None:
        raise FormatError(
            f"{path}: {where} is {link}. Put the file that it leads to beside this one, under the "
            "name that it has in the link, or copy the data in."
        )
    found = _item(parent, last)
    if found is None or isinstance(found, h5py.Group):
        return found
    raise FormatError(f"{path}: {where} is a dataset; an NWB table, a group, is needed. {MEND}")


def table_ids(path: Path, table: h5py.Group) -> NDArray[Any]:
    """The ids of a table's rows, which every NWB table has: [N] of whole numbers or text."""
    if "id" not in table:
        raise FormatError(
            f"{path}: the table {_place(table)} has no column id, which every NWB table needs;"
            f" found: {', '.join(table) or 'no columns'}. Write the file again with it."
        )
    return _checked(path, table, "id", "iuSU", "whole numbers or text")


def values_of(path: Path, table: h5py.Group, name: str) -> NDArray[np.float64]:
    """A column of numbers along one axis."""
    return _checked(path, table, name, "iuf", "numbers").astype(np.float64)


def row_ends(path: Path, table: h5py.Group, name: str, n_rows: int) -> NDArray[np.int64]:
    """Where the values of each row end in the ragged column `name`, [N], by `name_index`."""
    import h5py

    index = f"{name}_index"
    ends = _checked(path, table, index, "iu", "whole numbers").astype(np.int64)
    dataset = _item(table, name)
    if not isinstance(dataset, h5py.Dataset) or not dataset.shape:
        raise FormatError(
            f"{path}: {_place(table)}/{name} is no array of values; one with {index} is needed. "
            f"{MEND}"
        )
    n_values = len(dataset)
    if len(ends) != n_rows:
        raise FormatError(
            f"{path}: {_place(table)} has {n_rows} ids, {len(ends)} ends in {index} and {n_values} "
            f"values in {name}, which do not fit together; one end per id is needed. {MEND}"
        )
    starts = np.concatenate([[0], ends[:-1]])[:n_rows]
    wrong = np.flatnonzero((ends < starts) | (ends > n_values))
    if len(wrong) or (n_rows and ends[-1] != n_values):
        at = int(wrong[0]) if len(wrong) else n_rows - 1
        raise FormatError(
            f"{path}: {_place(table)}/{index} says that row {at} ends at {ends[at]}; ends must "
            f"rise from 0 to the {n_values} values in {name}. {MEND}"
        )
    return ends


def _checked(path: Path, table: h5py.Group, name: str, kinds: str, needed: str) -> NDArray[Any]:
    import h5py

    link = broken_link(table, name)
    if link is not None:
        raise FormatError(f"{path}: {_place(table)}/{name} is {link}. Put it there. {MEND}")
    column = _item(table, name)
    if not isinstance(column, h5py.Dataset):
        found = "missing" if column is None else "a group"
        raise FormatError(
            f"{path}: {_place(table)}/{name} is {found}; a column of {needed} is needed. {MEND}"
        )
    if column.shape is None or len(column.shape) != 1:
        raise FormatError(
            f"{path}: {_place(table)}/{name} has shape {column.shape}; one axis is needed. {MEND}"
        )
    is_text = h5py.check_string_dtype(column.dtype) is not None
    if not (is_text and "S" in kinds) and column.dtype.kind not in kinds:
        raise FormatError(
            f"{path}: {_place(table)}/{name} has values of type "
            f"{'text' if is_text else column.dtype}; {needed} are needed. {MEND}"
        )
    return dataset_values(column)


def _item(group: h5py.Group, name: str) -> Any:  # h5py has no types: Group, Dataset or None
    try:
        return group.get(name)
    except (KeyError, OSError, RuntimeError):  # what h5py raises of a file that is not there
        return None


def _place(table: h5py.Group) -> str:
    return str(table.name).lstrip("/")
