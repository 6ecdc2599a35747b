"""What sessions left out were begun with: records of earlier versions still fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfads_torch.config.check import replace_values, settings_from_values
from lfads_torch.config.layers import nested
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.errors import RunError
from lfads_torch.outputs.left_out_file import LeftOutRecord, read_left_out
from lfads_torch.workflows.sessions.left_out_identity import begun_with, require_same

# Written before model.update_gate_bias, signals and reader_settings were there.
EARLIER = Path(__file__).parents[1] / "golden" / "leave_one_out_begun_earlier.json"


def now(before: LeftOutRecord, read: ReadOptions | None = None, **changed: object) -> LeftOutRecord:
    """What the same command, or one with other settings or options, would store today."""
    settings = settings_from_values(nested(before.begun_with["settings"]))
    request = SimpleNamespace(
        settings=replace_values(settings, changed), added_overrides=(), recordings=(),
        read_options=read or ReadOptions(),
    )  # fmt: skip
    return replace(before, begun_with=begun_with(request))


def test_what_an_earlier_version_began_goes_on() -> None:
    before = read_left_out(EARLIER)
    require_same(before, now(before), EARLIER.parent)
    require_same(now(before), now(before), EARLIER.parent)


def test_what_came_later_must_be_as_it_was_then() -> None:
    before = read_left_out(EARLIER)
    other = now(before, **{"model.update_gate_bias": 3.0})
    with pytest.raises(RunError, match=r"\({'model.update_gate_bias': 1.0}, now .*: 3.0}\)"):
        require_same(before, other, EARLIER.parent)
    for options, found in (
        (ReadOptions(signals=("emg=gamma",)), r"\({'signals': \[\]}, now {'signals': \['emg"),
        (ReadOptions(reader_settings={"blocks.n": 3}), r"{'reader_settings': {}}, now .* 3}}"),
    ):
        with pytest.raises(RunError, match=f"options for reading .*{found}"):
            require_same(before, now(before, options), EARLIER.parent)


def test_settings_that_a_plug_in_got_since_are_at_their_defaults() -> None:
    before = read_left_out(EARLIER)
    older = {**before.begun_with["settings"], "augmentation.order": "member_parts:Fade"}
    plugged = replace(before, begun_with={**before.begun_with, "settings": older})
    require_same(plugged, now(plugged), EARLIER.parent)
    with pytest.raises(RunError, match=r"\({'fade.n_bins': 3}, now {'fade.n_bins': 4}\)"):
        require_same(plugged, now(plugged, **{"fade.n_bins": 4}), EARLIER.parent)
