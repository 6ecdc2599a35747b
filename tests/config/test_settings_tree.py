"""The tree as values, as YAML, and its declarations."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lfads_torch.config.check import check_settings, replace_values
from lfads_torch.config.declarations import declarations
from lfads_torch.config.layers import dotted_names, laid_over, nested
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings, flatten, section_types, to_dict, to_yaml
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings

UNUSUAL = {
    "model.n_factors": 33,
    "model.input_prior": "normal",
    "loss.kl_input_scale": 1.2345678901234567e-06,
    "loss.observation": "negative_binomial",
    "loss.scale": 1e300,
    "training.learning_rate": 0.1 + 0.2,
    "inference.save_generator_states": True,
    "run.seed": 4294967295,
}


def test_the_tree_is_sections_of_values() -> None:
    tree = to_dict(Settings())
    assert list(tree) == [
        "model", "sessions", "loss", "augmentation", "training", "search", "data", "chop",
        "split", "inference", "run",
    ]  # fmt: skip
    assert list(section_types()) == list(tree)
    assert tree["model"]["n_factors"] == 40
    assert flatten(Settings())["loss.reconstruction"] == "mean"
    assert sum(map(len, tree.values())) == len(flatten(Settings()))
    assert json.loads(json.dumps(tree)) == tree


def test_the_whole_tree_goes_through_yaml_and_back_exactly(tmp_path: Path) -> None:
    settings = replace_values(Settings(), UNUSUAL)
    path = tmp_path / "settings.yaml"
    path.write_text(to_yaml(settings), encoding="utf-8")
    again = read_settings(path)
    assert again == settings
    assert flatten(again) == flatten(settings)
    assert to_yaml(again) == to_yaml(settings)
    assert again.chosen == set(flatten(settings))
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == to_dict(settings)


def test_help_and_unit_stand_beside_each_value() -> None:
    assert "  n_forward_bins: 0  # bins at the end that are predicted" in to_yaml(Settings())
    assert "not shown to the encoder [bins]\n" in to_yaml(Settings())


def test_replaced_values_are_new_and_count_as_chosen() -> None:
    before = Settings()
    after = replace_values(before, {"model.n_factors": 8, "training.epochs": 1e3})
    assert (before.model.n_factors, after.model.n_factors) == (40, 8)
    assert after.training.epochs == 1000
    assert type(after.training.epochs) is int
    assert after.chosen == {"model.n_factors", "training.epochs"}
    assert dataclasses.replace(after, model=before.model, training=before.training) == before


def test_records_made_by_hand_can_be_checked() -> None:
    loss = LossSettings()
    object.__setattr__(loss, "scale", 1)  # the shape checker would refuse an int in the call
    settings = Settings(model=ModelSettings(n_factors=3), loss=loss)
    assert check_settings(settings) == settings
    assert type(check_settings(settings).loss.scale) is float


def test_every_setting_is_declared_with_help_and_a_default_in_range() -> None:
    known = declarations()
    assert list(known) == list(flatten(Settings()))
    for name, value in flatten(Settings()).items():
        assert known[name].help, name
        assert replace_values(Settings(), {name: value}) == Settings()


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("model.n_factors", "a whole number, at least 1"),
        ("model.cell_clip", "a number, above 0"),
        ("augmentation.dropout_rate", "a number, at least 0, below 1"),
        ("augmentation.coordinated_dropout_pass_rate", "a number, at least 0, at most 1"),
        ("training.checkpoint_interval_s", "a number, at least 0 (s)"),
        ("inference.save_generator_states", "true or false"),
        ("loss.observation", "a text"),
        ("run.precision", "one of auto, float32, float64, bf16"),
    ],
)
def test_what_a_setting_needs_is_said_in_words(name: str, needed: str) -> None:
    assert declarations()[name].needed == needed


def test_layers_join_by_setting() -> None:
    below = {"model": {"n_factors": 1, "ic_bins": 2}}
    assert laid_over(below, nested({"model.ic_bins": 3, "run.seed": 4})) == {
        "model": {"n_factors": 1, "ic_bins": 3},
        "run": {"seed": 4},
    }
    assert below == {"model": {"n_factors": 1, "ic_bins": 2}}
    assert laid_over(laid_over(below, {"model": 5}), below) == {"model": 5}
    assert dotted_names({"model": {"ic_bins": 3}, "run": 4}) == {"model.ic_bins"}


def test_settings_load_nothing_heavy() -> None:
    modules = ["read", "resolve", "rules", "scales", "schema", "preset_choice", "tree"]
    code = "import sys\n" + "".join(f"import lfads_torch.config.{name}\n" for name in modules)
    code += "print([m for m in ('torch', 'numpy', 'pydantic', 'h5py') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
