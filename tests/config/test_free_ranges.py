"""Ranges whose limits need not hold: only where nothing but 0 bounds the setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from lfads_torch.config.space_check import range_mistakes
from lfads_torch.config.space_text import AskedRange
from lfads_torch.declare import PluginSettings, member_setting
from lfads_torch.declared import record_declarations


@dataclass(frozen=True, kw_only=True)
class OwnSettings(PluginSettings):
    section: ClassVar[str] = "own"

    bins: float = member_setting(10.0, "a time constant", at_least=1.0)
    ratio: float = member_setting(2.0, "of two sizes", above=0.5)
    share: float = member_setting(0.5, "of a whole", at_least=0.0, below=1.0)
    scale: float = member_setting(1.0, "of a penalty", at_least=0.0)
    width: float = member_setting(1.0, "of a window", above=0.0)
    offset: float = member_setting(1.0, "of a mean", at_least=-5.0)
    free: float = member_setting(1.0, "anything")


def mistakes(key: str, low: float, *, keeps_limits: bool) -> list[str]:
    values = {"low": low, "high": 0.9 + abs(low), "keeps_limits": keeps_limits}
    asked = AskedRange(f"own.{key}", values, "--search")
    known = {each.key: each for each in record_declarations("own", OwnSettings)}
    assert range_mistakes(AskedRange(f"own.{key}", {**values, "keeps_limits": True}, "x"),
                          known[key]) == []  # fmt: skip
    return range_mistakes(asked, known[key])


@pytest.mark.parametrize(
    ("key", "low", "text"),
    [
        ("bins", 1.0, "its limits must hold, for the setting must be at least 1"),
        ("ratio", 0.7, "its limits must hold, for the setting must be above 0.5"),
        ("share", 0.0, "its limits must hold, for the setting must be at least 0, below 1"),
        ("offset", -3.0, "its limits must hold, for low is -3, and only values from 0 on can go"),
        ("free", -1.0, "its limits must hold, for low is -1, and only values from 0 on can go"),
    ],
)
def test_limits_that_a_factor_can_pass_must_hold(key: str, low: float, text: str) -> None:
    (found,) = mistakes(key, low, keeps_limits=False)
    assert found.startswith(f"own.{key} (--search): {text}")


@pytest.mark.parametrize("key", ["scale", "width", "offset", "free"])
def test_a_range_that_only_0_bounds_may_be_left(key: str) -> None:
    assert mistakes(key, 0.1, keeps_limits=False) == []
