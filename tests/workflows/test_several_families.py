"""A recording of spikes, EMG-like and calcium-like units in one model, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import Tiny

from lfads_torch.config.check import replace_values
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, SettingsError
from lfads_torch.loss.observations.choose import choose_observation, observation_of
from lfads_torch.loss.observations.several import SeveralFamilies, parameter_places
from lfads_torch.loss.settings import LossSettings
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.assemble import assemble
from lfads_torch.workflows.evaluate import Protocol, evaluate_run
from lfads_torch.workflows.fit import fit_run, prepare
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.listener import Listener

FAMILIES = ("poisson", "gamma", "poisson", "zero_inflated_gamma", "gaussian")
SETTINGS = {
    "model.ic_encoder_size": 3, "model.controller_encoder_size": 3, "model.controller_size": 3,
    "model.generator_size": 4, "model.n_factors": 3, "model.n_inferred_inputs": 1,
    "model.initial_condition_size": 2, "training.epochs": 2, "training.batch_size": 8,
    "inference.n_samples": 3, "split.held_out_fraction": 0.0,
}  # fmt: skip


def mixed(families=FAMILIES, *, seed: int = 0) -> Recording:
    random = np.random.default_rng(seed)
    shape = (12, 7, len(FAMILIES))
    counts = random.poisson(1.0, shape).astype(float)
    for n, family in enumerate(FAMILIES):
        if family == "gamma":
            counts[..., n] = random.gamma(2.0, size=shape[:2])
        if family == "zero_inflated_gamma":
            counts[..., n] = random.gamma(2.0, size=shape[:2]) * (random.random(shape[:2]) < 0.5)
        if family == "gaussian":
            counts[..., n] = random.normal(size=shape[:2])
    return Recording(
        counts=counts,
        bin_width_s=0.02,
        trial_ids=np.arange(12),
        unit_ids=np.array(["a", "emg", "b", "ca", "lfp"]),
        observation=None if families is None else np.array(families),
        true_rates=np.ones(shape, np.float32),
    )


def settings(**more) -> Settings:
    return replace_values(Settings(), {**SETTINGS, **more})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "run"
    return fit_run(mixed(), settings(), folder, observer=Listener(is_printing=False))


def test_each_unit_is_scored_drawn_and_started_by_its_own_family():
    together = observation_of(FAMILIES, LossSettings())
    assert isinstance(together, SeveralFamilies)
    assert together.n_parameters == 3
    assert not together.is_spiking
    assert tuple(f.name for f in together.of_units(5)) == FAMILIES
    random = torch.Generator().manual_seed(0)
    parameters = torch.randn(2, 4, 3, 5, generator=random, dtype=torch.float64)
    values = together.sample(parameters, np.random.default_rng(1))
    assert together.support_error(values) is None
    for n, name in enumerate(FAMILIES):
        alone = choose_observation(name)
        own, y = parameters[..., : alone.n_parameters, n : n + 1], values[..., n : n + 1]
        of_each = (
            (family.negative_log_likelihood(p, v), family.constant(v), family.mean(p))
            for family, p, v in ((together, parameters, values), (alone, own, y))
        )
        for found, expected in zip(*of_each, strict=True):
            torch.testing.assert_close(found[..., n : n + 1], expected, rtol=1e-12, atol=0.0)


def test_the_readout_has_the_outputs_that_exist_and_their_gradients():
    assembled = assemble(prepared(mixed()), settings(), device=torch.device("cpu"))
    (session,) = assembled.task.sizes.sessions
    assert session.n_outputs == 1 + 2 + 1 + 3 + 2
    assert session.parameter_places == parameter_places(assembled.task.observations[0], 5)
    named = {spec.name: spec for spec in assembled.task.layout.specs}
    bias = named["readout.session.bias"]
    assert bias.shape == (9,)
    mean = assembled.task.observations[0].mean(
        torch.zeros(15, dtype=torch.float64)
        .index_copy(0, torch.tensor(session.parameter_places), bias.constant.double())
        .view(3, 5)
    )
    training = assembled.split.trials("train")
    expected = mixed().counts[training].mean((0, 1))
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)


def prepared(recording: Recording, **more) -> Recording:
    return prepare(recording, settings(**more), Listener(is_printing=False)).recordings[0]


def test_homogeneous_units_are_their_family_itself():
    names = ("gaussian",) * 3
    assert type(observation_of(names, LossSettings())) is type(choose_observation("gaussian"))
    assert parameter_places(choose_observation("gaussian"), 3) is None
    assert Tiny(observation="gaussian").task().sizes.sessions[0].n_outputs == 10


def test_the_rates_file_says_family_and_unit_of_measure_of_every_unit(run):
    with open_rates(infer_to_file(run, mixed(), run.path / "again.nc", is_new=False)) as rates:
        assert rates["observation"].values.tolist() == list(FAMILIES)
        words = rates["rate_unit"].values.tolist()
        assert words == ["spikes/s", "as in counts", "spikes/s", "as in counts", "as in counts"]
        assert rates["rates"].attrs["units"] == "spikes/s or as in counts, see rate_unit"
        assert rates.attrs["observation"] == "poisson, gamma, zero_inflated_gamma, gaussian"
        level = rates["rates"].mean(("trial", "time")).values
    counts = mixed().counts.mean((0, 1))
    assert level[[0, 2]] == pytest.approx(
        counts[[0, 2]] / 0.02, rel=0.6
    )  # 50 bins per second apart
    assert level[[1, 3]] == pytest.approx(counts[[1, 3]], rel=0.6)  # 50 bins per second apart


def test_scores_treat_units_by_their_family(run):
    found = {
        each.name: each
        for each in evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=0)).scores
    }
    assert found["masked_bits_per_spike"].value is not None
    assert found["masked_r2"].value is not None
    assert "units of gamma, zero_inflated_gamma, gaussian" in found["masked_r2"].note
    # Bits are those of the spiking units alone.
    spikes = found["encoded_bits_per_spike"].trial_score.spikes
    trials = found["encoded_bits_per_spike"].trial_ids
    np.testing.assert_allclose(spikes, mixed().counts[trials][..., [0, 2]].sum((1, 2)))


def test_beside_the_masked_r2_stands_what_simple_means_reach(run):
    from sklearn.metrics import r2_score

    from lfads_torch.analysis.report_scores import score_rows
    from lfads_torch.cli.scores_table import headline
    from lfads_torch.workflows.evaluate import to_json

    evaluation = evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=0))
    found = {each.name: each for each in evaluation.scores}
    trials, train = (run.read_split()["trials"][name] for name in ("valid", "train"))
    continuous = [1, 3, 4]
    target = mixed().counts[trials][..., continuous].reshape(-1, 3)
    mean = mixed().counts[train][..., continuous].mean((0, 1))
    expected = r2_score(target, np.broadcast_to(mean, target.shape))
    assert found["baseline_unit_mean_masked_r2"].value == pytest.approx(expected)
    assert found["baseline_unit_mean_masked_r2"].is_comparable is False
    assert "masked r2" in headline(score_rows(to_json(evaluation)))


def test_units_in_another_order_keep_their_family(run):
    order = np.array([3, 0, 4, 1, 2])
    plain = mixed(None)
    target = run.path / "other.nc"
    with open_rates(infer_to_file(run, plain.take_units(order), target, is_new=True)) as rates:
        assert rates["observation"].values.tolist() == [FAMILIES[n] for n in order]
        other = rates["rates"].values
    with open_rates(infer_to_file(run, plain, target, is_new=True)) as rates:
        np.testing.assert_array_equal(other, rates["rates"].values[..., order])


def test_a_recording_that_says_another_family_than_the_model_is_refused(run):
    with pytest.raises(DataError, match="unit emg is of the family gaussian"):
        infer_to_file(run, mixed(("", "gaussian", "", "", "")), run.path / "no.nc", is_new=True)


def test_an_older_card_without_families_stays_readable(tmp_path):
    counts = np.random.default_rng(0).poisson(1.0, (12, 7, 3)).astype(float)
    plain = Recording(
        counts=counts, bin_width_s=0.02, trial_ids=np.arange(12), unit_ids=np.arange(3)
    )
    folder = tmp_path / "run"
    fit_run(plain, settings(), folder, observer=Listener(is_printing=False))
    card = json.loads((folder / "model.json").read_text())
    assert card.pop("observation") == ["poisson"] * 3
    (folder / "model.json").write_text(json.dumps(card))
    with open_rates(
        infer_to_file(RunFolder.open(folder), plain, tmp_path / "a.nc", is_new=True)
    ) as rates:
        assert rates["rates"].attrs["units"] == "spikes/s"


def test_the_setting_says_what_the_recording_does_not():
    text = "gamma=emg; zero_inflated_gamma=ca; gaussian=4:"
    assembled = assemble(
        prepared(mixed(None), **{"loss.unit_observation": text}),
        settings(**{"loss.unit_observation": text}),
        device=torch.device("cpu"),
    )
    assert [f.name for f in assembled.task.observations[0].of_units(5)] == list(FAMILIES)


def test_a_wrong_family_names_the_right_one():
    with pytest.raises(DataError) as caught:
        prepared(mixed(None))
    assert 'unit_observation="gamma=1:2; zero_inflated_gamma=3:4; gaussian=4:5"' in str(
        caught.value
    )
    with pytest.raises(DataError, match="Zeros need zero_inflated_gamma"):
        prepared(mixed(("", "gamma", "", "gamma", "gaussian")))
    with pytest.raises(DataError, match=r"numbers above 5 .loss.zero_inflated_gamma_location"):
        prepared(mixed(), **{"loss.zero_inflated_gamma_location": 5.0})


def test_only_spikes_can_be_jittered():
    with pytest.raises(SettingsError, match="only spikes can be moved one by one"):
        prepared(mixed(), **{"augmentation.spike_jitter_rate": 0.1})


def test_a_file_does_not_choose_what_is_run_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "family_that_came_along.py").write_text("raise SystemExit('it was run')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m lfads_torch` does
    recording = mixed(("family_that_came_along:Own",) * len(FAMILIES))
    with pytest.raises(DataError, match=r"found only as .*family_that_came_along\.py"):
        prepare(recording, settings(), Listener(is_printing=False))
