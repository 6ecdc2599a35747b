"""Settings of plug-ins: a section of their own beside ours, checked, stored and restored."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfads_torch.config.check import check_settings, replace_values, settings_from_values
from lfads_torch.config.read import read_settings
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.tree import Settings, flatten, to_dict, to_yaml
from lfads_torch.errors import SettingsError

MODULE = """
from dataclasses import dataclass
from typing import ClassVar
from lfads_torch.declare import PluginSettings, setting
from lfads_torch.search.select import SelectionRule, Tournament
from lfads_torch.loss.observations.poisson import Poisson

@dataclass(frozen=True, kw_only=True)
class FewSettings(PluginSettings):
    section = "few"
    share: float = setting(0.25, "share that\\nis kept", above=0.0, at_most=1.0)
    rounds: int = setting(2, "rounds", unit="generations", at_least=1)

class Few(Tournament):
    settings_type = FewSettings

    def __init__(self, share=0.0):
        self.share = share

    @classmethod
    def from_settings(cls, settings):
        return cls(settings.own.of(FewSettings).share)

@dataclass(frozen=True, kw_only=True)
class TakenSettings(PluginSettings):
    section = "model"

class Taken(Tournament):
    settings_type = TakenSettings

class NoRecord(Tournament):
    settings_type = int

@dataclass(frozen=True, kw_only=True)
class OtherSettings(PluginSettings):
    section = "few"

class Other(Poisson):
    settings_type = OtherSettings
"""
FEW = "few_rules:Few"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "few_rules.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("few_rules", None)


def read(*overrides: str) -> Settings:
    return read_settings(overrides=(f"search.selection={FEW}", *overrides))


def test_a_named_plug_in_brings_its_section() -> None:
    settings = read("few.rounds=3")
    assert to_dict(settings)["few"] == {"share": 0.25, "rounds": 3}
    assert "few.rounds" in settings.chosen
    assert "few" not in to_dict(Settings())


def test_the_plug_in_gets_them() -> None:
    from lfads_torch.search.select import selection_rule

    assert selection_rule(read("few.share=0.5").search).share == 0.5  # type: ignore[attr-defined]
    assert selection_rule(replace(read().search)).share == 0.25  # type: ignore[attr-defined]


def test_they_go_through_yaml_and_back(tmp_path: Path) -> None:
    settings = read("few.rounds=3")
    text = to_yaml(settings)
    assert "few:\n  share: 0.25  # share that is kept\n  rounds: 3  # rounds [generations]" in text
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    again = read_settings(path)
    assert again == settings
    assert flatten(again)["few.rounds"] == 3


def test_they_survive_checks_and_changes() -> None:
    settings = replace_values(check_settings(read("few.rounds=3")), {"few.share": 1.0})
    assert to_dict(settings)["few"] == {"share": 1.0, "rounds": 3}
    assert settings.model.own == settings.search.own == settings.loss.own == settings.own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("few.round=3", "few.round .* is no setting; did you mean few.rounds?"),
        ("few.rounds=2.5", "few.rounds .* is 2.5; needed is a whole number, at least 1"),
        ("few.share=0", "few.share .* is 0; needed is a number, above 0, at most 1"),
        ("few.share=much", "few.share .* is the text 'much'; needed is a number"),
        ("loss.observation=few_rules:Other", "has the section 'few', which another plug-in has"),
    ],
)
def test_mistakes_in_them_are_told_as_ours_are(given: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(given)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("few_rules:Taken", "has the section 'model', which is one of ours"),
        ("few_rules:NoRecord", "settings_type is no record of settings; needed is a frozen datac"),
        ("few_rules:Absent", "has no attribute 'Absent'"),
        ("absent_rules:Few", "No module named 'absent_rules'"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_told(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings_from_values({"search": {"selection": name}})


def test_without_the_plug_in_there_is_no_such_section() -> None:
    with pytest.raises(SettingsError, match="that of a plug-in is there where a setting names"):
        settings_from_values({"few": {"share": 0.5}})


def test_searching_one_is_refused_with_the_reason() -> None:
    from lfads_torch.config.space_check import name_mistakes

    (told,) = name_mistakes("few.share", "--search")
    assert "a plug-in's settings are there where a setting names the plug-in" in told
    (told,) = name_mistakes("few.rounds", "--search", read().own)
    assert "the plug-in declares it as one for all members, for it may change shapes" in told
    assert "--set few.rounds=VALUE" in told
    assert "plug-in" not in name_mistakes("model.nothing_like_it_there", "--search")[0]


def test_the_section_of_a_plug_in_that_is_gone_is_no_second_mistake() -> None:
    values = {"search": {"selection": "gone_rules:Few"}, "few": {"share": 0.5}}
    with pytest.raises(SettingsError, match="gone_rules") as raised:
        settings_from_values(values)
    assert "few" not in str(raised.value).replace("gone_rules:Few", "")
    assert "mistakes" not in str(raised.value)
    # One of ours mistyped, and what is wrong elsewhere, is told beside it all the same.
    wrong = values | {"modle": {"n_factors": 3}, "training": {"epoch": 4}}
    with pytest.raises(SettingsError, match="3 mistakes") as raised:
        settings_from_values(wrong)
    assert "did you mean the section model?" in str(raised.value)
    assert "training.epoch" in str(raised.value)
    # Without a plug-in that is gone, a strange section stays a mistake.
    with pytest.raises(SettingsError, match="few is no setting"):
        settings_from_values({"few": {"share": 0.5}})


SIZES = DataSizes(
    n_trials_train=33, n_trials_valid=7, n_bins=11, n_encoded_bins=11, n_units=7, n_encoded_units=7
)
FADE = ("augmentation.order=member_parts:Fade",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("search.selection=member_parts:FadingTournament", "a rule of the search is one for all"),
        ("loss.observation=member_parts:FadingPoisson", "it would change the likelihood by which"),
        ("augmentation.order=member_parts:WholeFade", "is for a number; annotate it float"),
    ],
)
def test_numbers_of_members_are_refused_where_members_have_none(given: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings(overrides=(given,))


def test_a_number_of_every_member_can_be_searched() -> None:
    from lfads_torch.config.space import SpaceChoice, choose_space, space_from_yaml, space_to_yaml

    settings = read_settings(overrides=FADE)
    choice = SpaceChoice(ranges=("fade.strength=0.1..0.5,first=uniform",))
    (found,) = (each for each in choose_space(choice, settings, SIZES) if "fade" in each.name)
    assert (found.low, found.high, found.first) == (0.1, 0.5, "uniform")
    text = space_to_yaml((found,))
    assert space_from_yaml(text, "space.yaml") == (found,)  # whatever is installed there
    for wrong, message in (
        ("fade.strength=0.1..1.5", "high is 1.5; the setting must be at least 0, at most 1"),
        ("fade.n_bins=1..3", "one for all members, for it may change shapes"),
        ("fade.strenght=0.1..0.5", "is no setting; did you mean fade.strength?"),
        ("fade.strength=0.5..0.1", "the range 0.5..0.1 is empty"),
    ):
        with pytest.raises(SettingsError, match=message):
            choose_space(SpaceChoice(ranges=(wrong,)), settings, SIZES)
    with pytest.raises(SettingsError, match="where a setting names the plug-in"):
        choose_space(choice, read_settings(), SIZES)


def test_a_list_of_members_can_give_it() -> None:
    from lfads_torch.config.member_list import checked_list

    settings = read_settings(overrides=FADE)
    assert checked_list([{"fade.strength": 0.3}], "list", settings, SIZES)
    with pytest.raises(SettingsError, match=r"fade\.strength of member 0 is 2; needed is a number"):
        checked_list([{"fade.strength": 2}], "list", settings, SIZES)
