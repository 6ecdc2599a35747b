"""What a search moves: the default ranges, a file instead, single ranges over that, lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lfads_torch.config.check import replace_values
from lfads_torch.config.member_list import read_list
from lfads_torch.config.scales import beta_of_one
from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.space import (
    SpaceChoice,
    choose_space,
    default_space,
    space_from_yaml,
    space_to_yaml,
)
from lfads_torch.config.tree import Settings
from lfads_torch.errors import SettingsError
from lfads_torch.search.space import MOVABLE, Range, Space, published_space

SIZES = DataSizes(
    n_trials_train=33, n_trials_valid=7, n_bins=11, n_encoded_bins=11, n_units=7, n_encoded_units=7
)
ENTRIES = 77
RATE = "training.learning_rate"
DROPOUT = "augmentation.dropout_rate"
DECAY = "training.weight_decay"
KL_INPUT = "loss.kl_input_scale"
KL_START = "loss.kl_initial_condition_scale"


def settings_with(**values: object) -> Settings:
    return replace_values(Settings(), {key.replace("__", "."): v for key, v in values.items()})


def by_name(space: Space) -> dict[str, Range]:
    assert len({each.name for each in space}) == len(space)
    return {each.name: each for each in space}


def chosen(*ranges: str, settings: Settings | None = None, **more: object) -> dict[str, Range]:
    choice = SpaceChoice(ranges=ranges, **more)  # type: ignore[arg-type]
    return by_name(choose_space(choice, settings or Settings(), SIZES))


def refused(*ranges: str, settings: Settings | None = None, **more: object) -> str:
    with pytest.raises(SettingsError) as caught:
        chosen(*ranges, settings=settings, **more)
    return str(caught.value)


# --- the default ---


def test_the_default_is_the_published_table() -> None:
    assert default_space(Settings(), SIZES) == published_space()
    assert choose_space(SpaceChoice(), Settings(), SIZES) == published_space()


def test_without_a_controller_its_ranges_are_left_out() -> None:
    settings = settings_with(model__n_inferred_inputs=0)
    names = by_name(default_space(settings, SIZES))
    assert KL_START in names
    assert KL_INPUT not in names
    assert "loss.l2_controller_scale" not in names


@pytest.mark.parametrize(
    ("kl_range", "unit", "is_beta"),
    [
        ("auto", "published", False),
        ("auto", "beta", True),
        ("published", "beta", False),
        ("beta", "published", True),
    ],
)
def test_ranges_of_divergences_are_published_or_in_units_of_the_bound(
    kl_range: str, unit: str, is_beta: bool
) -> None:
    settings = settings_with(search__kl_range=kl_range, loss__kl_scale_unit=unit)
    space = by_name(default_space(settings, SIZES))
    of_inputs, of_start = space[KL_INPUT], space[KL_START]
    if is_beta:
        assert (of_inputs.low * ENTRIES, of_inputs.high * ENTRIES) == pytest.approx((0.02, 2.0))
        assert (of_start.low * ENTRIES, of_start.high * ENTRIES) == pytest.approx((0.02, 16.0))
    else:
        assert (of_inputs.low, of_inputs.high) == (1e-6, 1e-4)
        assert (of_start.low, of_start.high) == (1e-6, 1e-3)
    assert (of_inputs.weight, of_inputs.keeps_limits) == (0.8, False)


@pytest.mark.parametrize("kl_range", ["published", "beta"])
def test_beside_a_sum_the_ranges_mean_the_same_strength(kl_range: str) -> None:
    mean = settings_with(search__kl_range=kl_range)
    total = settings_with(search__kl_range=kl_range, loss__reconstruction="sum")
    sizes = replace(SIZES, present_share=0.5)
    for beside_mean, beside_sum in zip(
        default_space(mean, sizes), default_space(total, sizes), strict=True
    ):
        factor = 1.0
        if beside_mean.name in (KL_INPUT, KL_START):
            factor = beta_of_one(mean, sizes) / beta_of_one(total, sizes)
        assert beside_sum.low == pytest.approx(beside_mean.low * factor)
        assert beside_sum.high == pytest.approx(beside_mean.high * factor)


# --- single ranges ---


def test_a_range_changes_what_it_says_and_nothing_else() -> None:
    space = chosen("loss.l2_generator_scale=1e-3..0.5,weight=.3")
    default = by_name(published_space())["loss.l2_generator_scale"]
    assert space["loss.l2_generator_scale"] == replace(default, low=1e-3, high=0.5, weight=0.3)
    del space["loss.l2_generator_scale"]
    assert all(each == by_name(published_space())[name] for name, each in space.items())


def test_a_further_setting_is_added() -> None:
    space = chosen(f"{DECAY}=1e-6..1e-2", "training.beta1=0..0.9,first=0.5,limits=yes")
    assert space[DECAY] == Range(name=DECAY, low=1e-6, high=1e-2, first="log_uniform")
    assert space["training.beta1"].first == 0.5
    assert len(space) == 9


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (f"{RATE}=1e-4..1e-2", 4e-3),  # the first value still lies within
        (f"{RATE}=1e-4..1e-3", "log_uniform"),
        (f"{RATE}=1e-4..1e-3,first=uniform", "uniform"),
        (f"{RATE}=1e-4..1e-2,first=log_uniform", "log_uniform"),
        (f"{RATE}=1e-4..1e-3,first=2e-4", 2e-4),
        (f"{RATE}= .001 .. .5 , first = .01", 0.01),
    ],
)
def test_the_first_value_stays_as_far_as_it_can(text: str, first: object) -> None:
    assert chosen(text)[RATE].first == first


def test_a_range_that_begins_at_zero_is_drawn_uniformly() -> None:
    assert chosen(f"{DECAY}=0..0.1")[DECAY].first == "uniform"
    assert chosen("loss.l2_generator_scale=0..0.1")["loss.l2_generator_scale"].first == "uniform"


def test_kept_settings_are_not_searched() -> None:
    space = chosen(dropped=(DROPOUT, RATE, DECAY))
    assert len(space) == 5
    assert not {DROPOUT, RATE, DECAY} & space.keys()


@pytest.mark.parametrize("unit", ["published", "beta"])
def test_divergences_are_typed_in_the_unit_of_the_settings(unit: str) -> None:
    settings = settings_with(loss__kl_scale_unit=unit)
    own = chosen(f"{KL_INPUT}=0.1..4,first=2", settings=settings)[KL_INPUT]
    scale = 1 / ENTRIES if unit == "beta" else 1.0
    assert (own.low, own.high, own.first) == pytest.approx((0.1 * scale, 4 * scale, 2 * scale))
    stated = chosen(f"{KL_INPUT}=0.1..4,unit=beta", settings=settings)[KL_INPUT]
    assert (stated.low, stated.high) == pytest.approx((0.1 / ENTRIES, 4 / ENTRIES))


# --- files ---


@pytest.mark.parametrize(
    "space",
    [
        published_space(),
        published_space(has_controller=False),
        default_space(settings_with(search__kl_range="beta"), SIZES),
        (Range(name=DECAY, low=0.1 + 0.2, high=1 / 3 + 1, first=1 / 3 + 0.5, weight=1e-300),),
        (),
    ],
    ids=["published", "no controller", "beta", "odd numbers", "nothing"],
)
def test_a_stored_space_reads_back_exactly(space: Space) -> None:
    text = space_to_yaml(space)
    assert space_from_yaml(text, "space.yaml") == space
    assert list(yaml.safe_load(text)) == [each.name for each in space]  # also by YAML 1.1
    assert all(
        yaml.safe_load(text)[each.name]["high"] == each.high
        and yaml.safe_load(text)[each.name]["first"] == each.first
        for each in space
    )


def test_a_file_replaces_the_default_and_ranges_go_over_it(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"{DECAY}: {{low: 1e-6, high: 1e-2}}\n{RATE}:\n  low: 1e-4\n  high: 1\n")
    space = chosen(f"{RATE}=1e-3..1", path=path)
    assert list(space) == [DECAY, RATE]
    assert (space[RATE].low, space[DECAY].high) == (1e-3, 1e-2)


def test_a_space_of_another_search_means_the_same_in_any_unit(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(space_to_yaml(published_space()))
    settings = settings_with(loss__kl_scale_unit="beta")
    assert choose_space(SpaceChoice(path=path), settings, SIZES) == published_space()
    path.write_text(f"{KL_INPUT}: {{low: 1, high: 7}}\n{KL_START}: {{low: 1, high: 7}}\n")
    assert chosen(path=path, settings=settings)[KL_INPUT].low == pytest.approx(1 / ENTRIES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nothing to search; needed is a YAML file of a search space"),
        ("training: {learning_rate: 3}", "training (space.yaml, line 1) is no setting"),
        (f"{RATE}: 3", f"{RATE} (space.yaml, line 1) has no range; needed is {{low: ..., high"),
        (f"{RATE}: {{low: 1}}", "high is missing; needed is a number"),
        (f"{RATE}: {{low: a, high: 1}}", "low is a; needed is a number"),
        (f"{RATE}: {{low: 1, high: .inf}}", "high is inf; needed is a number"),
        (f"{RATE}: {{low: 1, high: 2, hihg: 3}}", "hihg is no part of a range; needed are low"),
        (f"{RATE}: {{low: 1, high: 2, keeps_limits: 3}}", "keeps_limits is 3; needed is true or"),
        (f"{RATE}: {{low: 1, high: 2, unit: beta}}", "only the weights of divergences have a unit"),
        (f"{KL_INPUT}: {{low: 1, high: 2, unit: x}}", "unit is x; needed is one of published"),
        (f"{RATE}: {{low: 1, high: 2, weight: true}}", "weight is True; needed is a number above"),
        (f"{RATE}: {{low: 1, high: 2}}\n{RATE}: {{low: 1}}", "is given twice, in lines 1 and 2"),
        ("- low: 1", "holds a list"),
        ("a: [", "this is not valid YAML"),
    ],
)
def test_a_space_file_that_is_wrong_is_told(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(text)
    assert message in refused(path=Path("space.yaml"))


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_bytes(b"\x89HDF\xff")
    assert "is not a text file in UTF-8" in refused(path=tmp_path / "space.yaml")
    assert "cannot be read (No such file" in refused(path=tmp_path / "none.yaml")


# --- what cannot be ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate=1..2", "is no setting; did you mean training.learning_rate?"),
        ("model.lr_init=1..2", "is no setting; did you mean training.learning_rate?"),
        ("TRAIN.KL.CO_WEIGHT=1..2", "did you mean loss.kl_input_scale?"),
        ("qqq.xyzw=1..2", "is no setting; what can be searched: training.learning_rate, "),
        ("model.n_factors=4..64", "cannot be searched while members train: it changes the shapes"),
        (
            "model.n_factors=4..64",
            "a search of its own with --set model.n_factors=VALUE (--method ",
        ),
        ("training.epochs=4..64", "the generations decide how long members train"),
        ("run.seed=4..64", "it is one for the whole run"),
        ("loss.observation=1..2", "is not a number, and only numbers can be searched"),
        (f"{RATE}=2..1", "the range 2..1 is empty; needed is low below high"),
        (f"{RATE}=1..1", "the range 1..1 is empty"),
        (f"{RATE}=0..1", "low is 0; the setting must be above 0"),
        (f"{DECAY}=-1..1", "low is -1; the setting must be at least 0"),
        (f"{DROPOUT}=0..1", "high is 1; the setting must be at least 0, below 1"),
        (f"{DROPOUT}=0..0.5,first=log_uniform", "first is log_uniform and low is 0; needed is a"),
        (f"{DROPOUT}=0..0.5,first=0", "first is 0, which no factor can change"),
        (f"{DROPOUT}=0..0.5,limits=no", "its limits must hold, for the setting must be at least 0"),
        (f"{RATE}=1e-3..1e-2,first=1", "first is 1, outside 0.001..0.01"),
        (f"{RATE}=1e-3..1e-2,first=lguniform", "did you mean log_uniform?"),
        (f"{RATE}=1e-3..1e-2,first=[3]", "first is []; needed is a number"),
        (f"{RATE}=1e-3..1e-2,weight=0", "weight is 0; needed is a number above 0"),
        (f"{RATE}=1e-3..1e-2,weight=heavy", "weight is heavy; needed is a number above 0"),
        (f"{RATE}=1e-3..1e-2,weigth=1", "'weigth=1' is not first=, weight=, limits= or unit="),
        (f"{RATE}=1e-3..1e-2,limits=maybe", "limits is 'maybe', not yes or no"),
        (f"{RATE}=1e-3..1e-2,weight=1,weight=2", "weight is given twice"),
        (f"{RATE}=1e-3", "needed is NAME=LOW..HIGH"),
        (f"{RATE}", "needed is NAME=LOW..HIGH"),
        (f"{RATE}=nan..inf", "needed is NAME=LOW..HIGH"),
        ("=1..2", "needed is NAME=LOW..HIGH"),
        ("", "needed is NAME=LOW..HIGH"),
    ],
)
def test_a_range_that_cannot_be_is_told(text: str, message: str) -> None:
    assert message in refused(text)


def test_every_mistake_is_told_at_once() -> None:
    text = refused(
        "model.n_factors=1..2", f"{RATE}=2..1", f"{DECAY}=1..2", f"{DECAY}=1..3", "nothing",
        dropped=("batch_siz", DECAY),
    )  # fmt: skip
    assert text.startswith("search space: 6 mistakes.\n  - ")
    assert text.count("\n  - ") == 6
    assert f"--search gives {DECAY} twice; keep one" in text
    assert f"{DECAY} is given both by --search and by --keep" in text
    assert "batch_siz (--keep) is no setting; did you mean training.batch_size?" in text


def test_many_mistakes_are_cut_short() -> None:
    text = refused(*(f"wrong{n}" for n in range(33)))
    assert "33 mistakes" in text
    assert text.endswith("  - and 25 more")


def test_keeping_what_could_not_be_searched_anyway_is_told() -> None:
    assert "model.n_factors (--keep) cannot be searched" in refused(dropped=("model.n_factors",))


def test_a_search_needs_something_to_search() -> None:
    assert "nothing is left to search" in refused(dropped=tuple(MOVABLE))


def test_ranges_of_a_controller_need_one() -> None:
    settings = settings_with(model__n_inferred_inputs=0)
    text = refused(f"{KL_INPUT}=1..2", settings=settings)
    assert "belongs to the controller, and this model has none" in text


# --- lists ---


def read(tmp_path: Path, name: str, text: str, **values: object) -> tuple[dict[str, float], ...]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_list(tmp_path / name, settings_with(**values), SIZES)


def test_a_list_gives_every_member_its_values(tmp_path: Path) -> None:
    wanted = ({RATE: 1e-3, KL_INPUT: 2.0}, {RATE: 0.5, KL_INPUT: 3.0})
    csv = f"\ufeff{RATE}, {KL_INPUT}\r\n1e-3,2\r\n.5, 3.0\r\n\r\n"
    assert read(tmp_path, "list.csv", csv) == wanted
    text = f"- {RATE}: 1e-3\n  {KL_INPUT}: 2\n- {{{KL_INPUT}: 3, {RATE}: 0.5}}\n"
    assert read(tmp_path, "list.yaml", text) == wanted
    in_beta = read(tmp_path, "list.csv", csv, loss__kl_scale_unit="beta")
    assert [row[KL_INPUT] for row in in_beta] == pytest.approx([2 / ENTRIES, 3 / ENTRIES])
    assert [row[RATE] for row in in_beta] == [1e-3, 0.5]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.csv", "", "gives no member; needed is a CSV table with a column per setting"),
        ("list.csv", f"{RATE}\n", "gives no member"),
        ("list.csv", "lr\n1\n", "lr (list.csv) is no setting; did you mean training.learning_rate"),
        ("list.csv", "model.n_factors\n1\n", "model.n_factors (list.csv) cannot be searched"),
        ("list.csv", f"{RATE},{RATE}\n1,2\n", f"the column '{RATE}' stands there twice"),
        ("list.csv", f"{RATE},{DECAY}\n1\n", "line 2: 1 fields where the first line has 2"),
        ("list.csv", f"{RATE}\n1\n0\n", "of member 1 is 0; needed is a number, above 0"),
        ("list.csv", f"{RATE},{DECAY}\n1,\n", f"{DECAY} of member 0 is empty; needed is a number"),
        ("list.csv", f"{RATE}\nfast\n", "of member 0 is fast; needed is a number, above 0"),
        ("list.csv", f'{RATE}\n"1\n', "is not CSV"),
        ("list.yaml", f"{RATE}: 1\n", "holds no list; needed is a list of"),
        ("list.yaml", "- 3\n", "line 1 is not of the form `name: value`"),
        ("list.yml", f"- {RATE}: 1\n- {DECAY}: 1\n", "members 0 and 1 do not both give training."),
        ("list.yaml", f"- {RATE}: .nan\n", "of member 0 is nan; needed is a number, above 0"),
    ],
)
def test_a_list_that_is_wrong_is_told(
    name: str, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_list(Path(name), Settings(), SIZES)
    assert message in str(caught.value)
    assert str(caught.value).startswith("list of members: ")


def test_halving_needs_a_power_of_two() -> None:
    with pytest.raises(SettingsError, match=r"halving_factor is 6; needed is a power of two, such"):
        settings_with(search__halving_factor=6)
