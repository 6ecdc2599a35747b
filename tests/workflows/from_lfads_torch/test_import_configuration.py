"""Configurations of lfads-torch become settings of ours; what has none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from peer_configuration import write_configuration

from lfads_torch.config.declarations import declarations
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import flatten
from lfads_torch.errors import SettingsError
from lfads_torch.workflows.from_lfads_torch.configuration import read_configuration
from lfads_torch.workflows.from_lfads_torch.import_file import import_configuration
from lfads_torch.workflows.from_lfads_torch.mapping import map_configuration
from lfads_torch.workflows.from_lfads_torch.options import OPTIONS
from lfads_torch.workflows.from_lfads_torch.parts import PARTS as PARTS_OF_THEIRS
from lfads_torch.workflows.from_lfads_torch.report import DIFFERENCES

EXPECTED = {
    "model.ic_bins": 0,
    "model.ic_encoder_size": 64,
    "model.controller_encoder_size": 48,
    "model.controller_lag_bins": 2,
    "model.controller_size": 48,
    "model.n_inferred_inputs": 4,
    "model.initial_condition_size": 32,
    "model.generator_size": 200,
    "model.n_factors": 40,
    "model.initial_condition_variance_floor": 1e-4,
    "model.initial_condition_prior": "normal",
    "model.initial_condition_prior_variance": 0.15,
    "model.initial_condition_prior_scale": "fixed",
    "model.variational": True,
    "model.cell_clip": 5.0,
    "model.input_prior": "autoregressive",
    "model.input_prior_time_constant": 12.0,
    "model.time_constant_unit": "bins",
    "model.input_prior_variance": 0.2,
    "loss.observation": "poisson",
    "loss.reconstruction": "mean",
    "loss.scale": 1e4,
    "loss.kl_initial_condition_scale": 3e-6,  # of single.yaml, over the model's own
    "loss.kl_input_scale": 1e-7,
    "loss.l2_ic_encoder_scale": 0.0,
    "loss.l2_controller_encoder_scale": 0.5,
    "loss.l2_generator_scale": 1e-2,
    "loss.l2_controller_scale": 2e-2,
    "loss.kl_ramp_start": 2,
    "loss.kl_ramp_increase": 90,
    "loss.l2_ramp_start": 1,
    "loss.l2_ramp_increase": 70,
    "augmentation.dropout_rate": 0.3,
    "augmentation.coordinated_dropout_rate": 0.45,
    "augmentation.coordinated_dropout_pass_rate": 0.1,
    "training.learning_rate": 4e-3,
    "training.learning_rate_floor": 1e-5,
    "training.plateau_factor": 0.95,
    "training.plateau_patience": 6,
    "training.beta1": 0.9,
    "training.beta2": 0.99,
    "training.epsilon": 1e-8,
    "training.weight_decay": 1e-3,
    "training.batch_size": 96,
    "training.epochs": 1200,
    "training.max_gradient_norm": 150.0,
    "training.patience": 200,
    "inference.n_samples": 40,
    "run.seed": 7,
}


def test_a_whole_configuration_becomes_a_settings_file(tmp_path: Path) -> None:
    target = tmp_path / "ours.yaml"
    import_configuration((write_configuration(tmp_path / "configs"),), target)
    found = read_settings(target)
    values = flatten(found)
    assert {name: values[name] for name in EXPECTED} == EXPECTED
    assert found.chosen == frozenset(EXPECTED)  # whatever is not imported is left to the data


def test_every_option_is_named(tmp_path: Path) -> None:
    configuration = read_configuration((write_configuration(tmp_path / "configs"),))
    mapped = map_configuration(configuration)
    named = {fate.option for fate in mapped.fates}
    for section in ("model", "datamodule", "trainer"):
        for key in configuration.values[section]:
            if key != "_target_":
                assert f"{section}.{key}" in named, key
    assert all(fate.settings or fate.note for fate in mapped.fates)
    assert not configuration.notes
    lines = "\n".join(fate.line() for fate in mapped.without_counterpart)
    assert "model.encod_data_dim: 137 -> read off the recording" in lines
    assert "datamodule.data_paths: ['datasets/my_data.h5'] -> give the file" in lines
    assert "SampleValidation" not in lines  # listed, but in neither order: it never acted
    assert "not known here" not in lines


def test_the_rate_decays_only_where_the_scheduler_is_on(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, lr_scheduler=False)
    settings = map_configuration(read_configuration((path,))).settings
    assert settings["training.plateau_factor"] == 1.0
    assert "training.plateau_patience" not in settings


def test_an_initial_segment_is_generated_too(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, ic_enc_seq_len=4)
    settings = map_configuration(read_configuration((path,))).settings
    assert settings["model.ic_bins"] == 4
    assert settings["model.generate_initial_segment"] is True


@pytest.mark.parametrize("name", ["ci_enc_dim", "con_dim", "co_dim"])
def test_a_size_of_0_leaves_out_the_controller(name: str, tmp_path: Path) -> None:
    write_configuration(tmp_path)
    model = tmp_path / "model" / "small_model.yaml"
    lines = model.read_text().splitlines()
    model.write_text("\n".join(f"{name}: 0" if x.startswith(f"{name}:") else x for x in lines))
    settings = map_configuration(read_configuration((model,))).settings
    assert settings["model.n_inferred_inputs"] == 0
    assert settings.get("model.controller_size") != 0
    read_settings(overrides=tuple(f"{key}={value}" for key, value in settings.items()))


def test_the_model_alone_and_a_data_module_beside_it(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    paths = (tmp_path / "model" / "small_model.yaml", tmp_path / "datamodule" / "my_data.yaml")
    settings = map_configuration(read_configuration(paths)).settings
    assert settings["model.controller_size"] == 48
    assert settings["training.batch_size"] == 96


PARTS = {
    "recons.Poisson": {"loss.observation": "poisson"},
    "recons.PoissonBPS": {"loss.observation": "poisson"},
    "recons.MSE": {"loss.observation": "gaussian_fixed_variance", "loss.fixed_variance": 0.5},
    "recons.Gaussian": {"loss.observation": "gaussian"},
    "recons.Gamma": {"loss.observation": "gamma"},
    "recons.ZeroInflatedGamma {gamma_loc: 0.1}": {
        "loss.observation": "zero_inflated_gamma", "loss.zero_inflated_gamma_location": 0.1,
    },
    "augmentations.CoordinatedDropout {cd_rate: 0.4, cd_pass_rate: 0.2}": {
        "augmentation.coordinated_dropout_rate": 0.4,
        "augmentation.coordinated_dropout_pass_rate": 0.2,
    },
    "augmentations.CoordinatedDropoutTF2 {cd_rate: 0.4}": {
        "augmentation.coordinated_dropout_rate": 0.4,
    },
    "augmentations.SpikeJitter {width: 3}": {
        "augmentation.spike_jitter_rate": 6 / 7, "augmentation.spike_jitter_bins": 3,
    },
    "augmentations.TemporalShift {std: 3.0, max_shift: 4}": {
        "augmentation.temporal_shift_rate": 1.0, "augmentation.temporal_shift_bins": 4,
    },
    "augmentations.SampleValidation {sv_rate: 0.2}": {"augmentation.sample_validation_rate": 0.2},
    "priors.MultivariateNormal {variance: 0.3}": {
        "model.initial_condition_prior": "normal",
        "model.initial_condition_prior_variance": 0.3,
    },
    "priors.MultivariateStudentT {loc: 0.0, scale: 0.5, df: 6}": {
        "model.initial_condition_prior": "student_t", "model.prior_degrees_of_freedom": 6.0,
        "model.initial_condition_prior_variance": 0.375,
        "model.initial_condition_prior_scale": "learned",
    },
}  # fmt: skip


@pytest.mark.parametrize("written", PARTS)
def test_targets_map_to_ours(written: str, tmp_path: Path) -> None:
    target, _, arguments = written.partition(" ")
    option = "ic_prior" if target.startswith("priors") else "reconstruction"
    for modules in ("lfads_torch.modules", "lfads_torch.models.modules"):
        given = arguments.strip("{}")
        inner = f"{{_target_: {modules}.{target}, {given}}}"
        path = tmp_path / "model.yaml"
        path.write_text(f"gen_dim: 8\n{option}: {inner}\n", encoding="utf-8")
        settings = map_configuration(read_configuration((path,))).settings
        assert PARTS[written].items() <= settings.items()
        read_settings(overrides=tuple(f"{key}={value}" for key, value in settings.items()))


PRIORS_OF_INPUTS = {
    "MultivariateNormal, variance: 0.3": {
        "model.input_prior": "normal", "model.input_prior_variance": 0.3,
    },
    "MultivariateStudentT, scale: 1.0, df: 4": {
        "model.input_prior": "student_t", "model.input_prior_variance": 2.0,
        "model.prior_degrees_of_freedom": 4.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("written", PRIORS_OF_INPUTS)
def test_priors_of_inputs(written: str, tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(f"gen_dim: 8\nco_prior: {{_target_: lfads_torch.modules.priors.{written}}}\n")
    settings = map_configuration(read_configuration((path,))).settings
    assert PRIORS_OF_INPUTS[written].items() <= settings.items()


def test_a_model_that_is_not_variational(tmp_path: Path) -> None:
    null = "{_target_: lfads_torch.modules.priors.Null}"
    path = tmp_path / "model.yaml"
    path.write_text(f"gen_dim: 8\nvariational: False\nco_prior: {null}\nic_prior: {null}\n")
    assert map_configuration(read_configuration((path,))).settings["model.variational"] is False


def test_all_settings_that_are_named_exist() -> None:
    named = {option.setting for option in OPTIONS.values() if option.setting}
    for name, part in PARTS_OF_THEIRS.items():
        for option in ("model.co_prior", "model.ic_prior"):
            named |= set(part.settings(option, {}) if part.settings else {})
        assert part.settings or part.note, name
    named |= set(DIFFERENCES)
    assert named - set(declarations()) == set()


def test_a_part_of_ones_own_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("gen_dim: 8\nreconstruction:\n  _target_: my_lab.MyLoss\nmy_option: 3\n")
    notes = [fate.line() for fate in map_configuration(read_configuration((path,))).fates]
    assert any("my_lab.MyLoss is not known here" in line for line in notes)
    assert "model.my_option: 3 -> not known here; it has no effect" in notes


def test_references_that_lead_nowhere_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "model:\n  gen_dim: 8\n  fac_dim: ${model.nowhere}\n  ic_dim: ${model.ic_dim}\n"
        "  co_dim: ${oc.env:HOME}\n  con_dim: ${model.gen_dim}\n"
    )
    found = read_configuration((path,))
    assert found.values["model"] == {
        "gen_dim": 8, "fac_dim": None, "ic_dim": None, "co_dim": None, "con_dim": 8,
    }  # fmt: skip
    assert len(found.notes) == 3


MISTAKES = {
    "- a\n- b\n": "holds no mapping",
    "model: !!python/object/apply:os.system ['true']\n": "tags such as",
    "a: [1, 2\n": "not valid YAML",
    "_target_: my_lab.Thing\n": "Needed is that of a model",
    "defaults:\n  - model: absent\n": "which is not there",
    "model:\n  gen_dim: many\n": "model.gen_dim is 'many'",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b, *b]\n" + "".join(
        f"k{n}: &k{n} [{', '.join(['*c' if n == 0 else f'*k{n - 1}'] * 9)}]\n" for n in range(9)
    ): "too many values",
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES, ids=list(MISTAKES.values()))
def test_what_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=MISTAKES[text]):
        map_configuration(read_configuration((path,)))
