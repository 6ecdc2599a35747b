"""`LFADS(observation=...)`: one family, or one for each unit."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.errors import DataError, SettingsError
from lfads_torch.workflows.estimator import LFADS

SETTINGS = {
    "model.ic_encoder_size": 3, "model.controller_encoder_size": 3, "model.controller_size": 3,
    "model.generator_size": 4, "model.n_factors": 2, "model.n_inferred_inputs": 1,
    "model.initial_condition_size": 2, "training.epochs": 2, "training.batch_size": 8,
    "inference.n_samples": 2,
}  # fmt: skip


def values() -> np.ndarray:
    random = np.random.default_rng(0)
    spikes = random.poisson(1.0, (10, 6, 2)).astype(float)
    return np.concatenate([spikes, random.gamma(3.0, size=(10, 6, 1))], -1)


def test_a_list_names_the_family_of_every_unit():
    X = values()
    model = LFADS(observation=["poisson", "poisson", "gamma"], settings=SETTINGS)
    rates = model.fit(X, bin_width_s=0.05).transform(X)
    level = X.mean((0, 1)) / np.array([0.05, 0.05, 1.0])
    assert rates.mean((0, 1)) == pytest.approx(level, rel=0.6)
    found = model.infer(X)
    assert found["observation"].values.tolist() == ["poisson", "poisson", "gamma"]
    assert np.isfinite(model.score(X))


def test_one_name_is_the_setting():
    model = LFADS(observation="gamma", settings=SETTINGS).fit(values()[..., 2:], bin_width_s=0.05)
    assert model.settings_["loss.observation"] == "gamma"


@pytest.mark.parametrize(
    ("observation", "error", "message"),
    [
        (["poisson"] * 2, DataError, "observation has 2 families; X has 3 units"),
        ([1, 2, 3], SettingsError, "the name of a family is needed"),
        (["poisson", "poisson", "gama"], SettingsError, "Did you mean 'gamma'"),
        ("gama", SettingsError, "did you mean gamma"),
        (None, DataError, "unit_observation"),
    ],
)
def test_mistakes_are_told_before_anything_slow(observation, error, message):
    with pytest.raises(error, match=message):
        LFADS(observation=observation, settings=SETTINGS).fit(values(), bin_width_s=0.05)


def test_what_is_said_twice_is_refused():
    twice = LFADS(observation="gamma", settings={"loss.observation": "gaussian"})
    with pytest.raises(SettingsError, match=r"write LFADS\(observation=...\) instead"):
        twice.fit(values(), bin_width_s=0.05)
