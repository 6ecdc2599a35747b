"""`members="best"` and `members="all"` of the estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lfads_torch.errors import SettingsError
from lfads_torch.outputs.run_folder import RunFolder

if TYPE_CHECKING:
    import xarray

__all__ = ["Members", "joined_members", "members_asked"]

Members = Literal["best", "all"]


def members_asked(run: RunFolder, members: Members) -> list[int | None]:
    """Ids of the models; None: the best, or the ensemble."""
    from lfads_torch.workflows.stored import members_of

    if members == "best":
        return [None]
    if members == "all":
        return list(members_of(run))
    raise SettingsError(f'members is {members!r}; "best" or "all" is needed.')


def joined_members(each: Sequence[xarray.Dataset]) -> xarray.Dataset:
    """Signals of several models, one after the other in a first dimension `member`."""
    import xarray

    ids = xarray.Variable("member", [int(one.attrs["member"]) for one in each])
    joined = xarray.concat(
        each, dim="member", data_vars="all", coords="minimal", combine_attrs="drop_conflicts",
        compat="override", join="exact",
    )  # fmt: skip
    return joined.assign_coords(member=ids)
