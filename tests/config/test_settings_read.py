"""Preset, file and overrides, one over the other; files that cannot be read."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lfads_torch.config.preset_choice import preset_names, preset_values
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings, flatten
from lfads_torch.errors import SettingsError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_nothing_given_is_the_defaults() -> None:
    assert read_settings() == Settings()
    assert read_settings().chosen == frozenset()


def test_an_override_beats_the_file_and_the_file_beats_the_preset(tmp_path: Path) -> None:
    path = written(tmp_path, "model:\n  n_factors: 7\n  generator_size: 33\n")
    settings = read_settings(path, "large", ("model.n_factors=3", "training.learning_rate=1e-3"))
    assert settings.model.n_factors == 3
    assert settings.model.generator_size == 33
    assert settings.model.ic_encoder_size == 128
    assert settings.training.learning_rate == 1e-3
    assert settings.run.preset == "large"
    assert settings.chosen == {
        "model.n_factors", "model.generator_size", "training.learning_rate", "run.preset",
    }  # fmt: skip


def test_the_last_override_of_a_setting_holds() -> None:
    settings = read_settings(overrides=("run.seed=1", " run.seed = 2 "))
    assert settings.run.seed == 2


def test_the_preset_of_the_overrides_beats_the_argument_and_that_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "run:\n  preset: small\n")
    assert read_settings(path).model.n_factors == 20
    assert read_settings(path, "large").model.n_factors == 100
    settings = read_settings(path, "large", ("run.preset=demo",))
    assert (settings.model.n_factors, settings.run.preset) == (8, "demo")


def test_the_line_of_a_mistake_and_the_override_are_told_together(tmp_path: Path) -> None:
    path = written(tmp_path, "model:\n  n_factors: many\ntraining:\n  epochs: 3\n  epochs: 4\n")
    overrides = ("training.beta1=2", "model.n_factors", "loss.scale=[1", "=3", "run.n_seeds=")
    with pytest.raises(SettingsError) as caught:
        read_settings(path, "smal", overrides)
    text = str(caught.value)
    assert "settings: 8 mistakes." in text
    assert f"{path}: training.epochs is given twice, in lines 4 and 5; keep one" in text
    assert f"model.n_factors ({path}, line 2) is the text 'many'; needed is a whole" in text
    assert "training.beta1 (--set) is 2; needed is a number, at least 0, below 1" in text
    assert "--set 'model.n_factors': needed is section.key=value, such as" in text
    assert "--set 'loss.scale=[1': the value cannot be read" in text
    assert "--set '=3': needed is section.key=value" in text
    assert "run.n_seeds (--set) is empty; needed is a whole number" in text
    assert "run.preset (--preset) is the text 'smal'; needed is one of auto, demo" in text


def test_a_mistake_that_an_override_mends_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, "model:\n  n_factors: many\n")
    assert read_settings(path, overrides=("model.n_factors=5",)).model.n_factors == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (pickle.dumps({"model": 1}), "is not a text file in UTF-8; needed is a YAML file"),
        ("modl:\n  n_factors: 3\n", "line 1) is no setting; did you mean the section model?"),
        ("n_factors: 3\n", "line 1) is no setting; did you mean model.n_factors?"),
        ("model.n_factors: 3\n", "line 1) is no setting; write it indented below `model:`"),
        ("model: 3\n", "line 1) is 3; needed are settings, indented below `model:`"),
        ("- model\n", "holds a list; sections with settings are needed"),
        ("model:\n\tn_factors: 3\n", "line 2, column 1: this is not valid YAML"),
        ("run:\n  preset: 3\n", "line 2) is 3; needed is one of auto"),
        ("run:\n  seed:\n", "line 2) is empty; needed is a whole number"),
        ("model:\n  1: 2\n", "model.1 ("),
        ("#" * 1_000_001, "bytes; a YAML file of settings has a few thousand"),
    ],
    ids=range(11),
)
def test_a_file_that_is_no_settings_is_told(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.yaml cannot be read \(No such file"):
        read_settings(tmp_path / "no.yaml")
    with pytest.raises(SettingsError, match=r"cannot be read \(.*[Dd]irectory"):
        read_settings(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "\ufeffmodel:\n", "model:\nrun:\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert read_settings(written(tmp_path, text)) == Settings()


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "auto"])
def test_every_preset_is_valid(name: str) -> None:
    settings = read_settings(preset=name)
    assert settings.run.preset == name
    assert settings.chosen == {"run.preset"}
    values = preset_values(name)
    assert values
    found = flatten(settings)
    assert {key: found[key] for key in values} == values
    assert not any(key.startswith("run.") for key in values)


def test_presets_are_those_of_the_published_table() -> None:
    keys = (
        "model.ic_encoder_size", "model.controller_encoder_size", "model.controller_size",
        "model.generator_size", "model.n_factors", "model.n_inferred_inputs",
        "model.initial_condition_size", "training.batch_size", "training.epochs",
    )  # fmt: skip
    table = {
        "small": (64, 64, 64, 100, 20, 1, 64, 64, 1000),
        "medium": (100, 80, 80, 100, 40, 4, 100, 64, 1000),
        "large": (128, 128, 128, 200, 100, 4, 100, 256, 1000),
        "maze_peer": (100, 80, 80, 100, 40, 4, 100, 64, 700),
    }
    for name, row in table.items():
        found = flatten(read_settings(preset=name))
        assert tuple(found[key] for key in keys) == row, name


def test_the_preset_of_the_peer_has_the_peers_numbers() -> None:
    peer = read_settings(preset="maze_peer")
    assert peer.training.learning_rate == 3e-3
    assert peer.training.patience == 0
    assert peer.augmentation.dropout_rate == 0.071
    assert peer.augmentation.coordinated_dropout_rate == 0.302
    assert peer.loss.l2_generator_scale == 1.37e-3
    assert peer.loss.l2_controller_scale == 4.6e-4
    assert peer.loss.kl_initial_condition_scale == 1.2e-6
    assert peer.loss.kl_input_scale == 5.5e-6
    assert (peer.loss.kl_ramp_increase, peer.loss.l2_ramp_increase) == (80, 80)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"preset 'lage' is unknown.*did you mean large\?"):
        preset_values("lage")
