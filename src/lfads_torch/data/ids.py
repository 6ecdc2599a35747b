"""Where the user's ids of trials and units are in the recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError

__all__ = ["positions_of_ids"]


def positions_of_ids(
    known: NDArray[Any], ids: Iterable[Any], what: str
) -> list[int]:  # ids: integers or text
    """Positions of these ids among the recording's; each must be there, and once only."""
    position_of = {value: position for position, value in enumerate(known.tolist())}
    wanted = [value.item() if isinstance(value, np.generic) else value for value in ids]
    unknown = [value for value in wanted if value not in position_of]
    if unknown:
        shown = ", ".join(repr(value) for value in unknown[:5])
        examples = ", ".join(repr(value) for value in known[:3].tolist())
        raise DataError(
            f"{what}: {len(unknown)} ids are not in the recording, e.g. {shown}. The recording's "
            f"ids look like {examples} ({len(known)} of them). Ids are compared by value and type: "
            "7 is not '7'."
        )
    if len(set(wanted)) < len(wanted):
        twice = next(value for value in wanted if wanted.count(value) > 1)
        raise DataError(f"{what}: id {twice!r} is named more than once. Name every id once.")
    return [position_of[value] for value in wanted]
