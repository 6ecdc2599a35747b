"""The whole forward pass against a slow loop, bin by bin, for every arrangement of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_model import SlowSizes, slow_trial
from tiny_models import KeyedNoise, Tiny

from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.weights import ModelWeights

ARRANGEMENTS = {
    "usual": Tiny(),
    "lag 0": Tiny(model={"controller_lag_bins": 0}),
    "lag 3": Tiny(model={"controller_lag_bins": 3}),
    "lag as long as the encoded bins": Tiny(model={"controller_lag_bins": 7}),
    "initial segment": Tiny(model={"ic_bins": 3}),
    "initial segment, lag 2": Tiny(model={"ic_bins": 2, "controller_lag_bins": 2}),
    "initial segment, lag beyond what is left": Tiny(
        model={"ic_bins": 6, "controller_lag_bins": 1}
    ),
    "no controller": Tiny(model={"n_inferred_inputs": 0}),
    "nothing drives": Tiny(model={"n_inferred_inputs": 0}, n_external_inputs=0),
    "no external inputs": Tiny(n_external_inputs=0),
    "no forward bins": Tiny(n_encoded_bins=9),
    "one bin": Tiny(n_bins=1, n_encoded_bins=1),
    "clip is active": Tiny(model={"cell_clip": 0.3}),
    "gaussian": Tiny(observation="gaussian"),
    "one unit, all encoded": Tiny(n_units=1, encoded_units=(0,)),
}


@pytest.mark.parametrize("kernels", ["reference", "portable"])
@pytest.mark.parametrize("dropout_rate", [0.0, 0.4])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_the_model_is_the_slow_loop(name, dropout_rate, kernels):
    tiny = ARRANGEMENTS[name]
    _compare(tiny, kernels, KeyedNoise(2, 3, dropout_rate=dropout_rate))


def test_without_samples_the_posterior_means_drive():
    _compare(Tiny(), "reference", KeyedNoise(2, 3, samples=False))


def _compare(tiny: Tiny, kernels: str, noise: KeyedNoise) -> None:
    tiny = Tiny(**{**vars(tiny), "kernels": kernels})
    task = tiny.task()
    named = task.layout.views(tiny.state(task, members=(4, 1)).weights)
    trials = tiny.trials(3)
    counts = trials.counts.expand(2, -1, -1, -1)
    external = trials.external_inputs
    given = ModelInput(
        counts=(counts[:, :, : tiny.n_encoded_bins],),
        sessions=(0,),
        external_inputs=None if external is None else external.expand(2, -1, -1, -1),
    )
    weights = ModelWeights.arrange(named, task.session_names)
    output = lfads(given, weights, noise, task.model, task.sizes, kernels=task.kernels)
    # The slow loop drops what was drawn, so that a site nobody asks for must be missed here.
    assert set(noise.drawn) == expected_sites(tiny, noise)
    sizes = SlowSizes(
        n_bins=tiny.n_bins,
        n_encoded_bins=tiny.n_encoded_bins,
        ic_bins=task.model.ic_bins,
        lag=task.model.controller_lag_bins,
        clip=task.model.cell_clip,
        variance_floor=task.model.initial_condition_variance_floor,
        encoded_units=tiny.encoded_units,
    )
    for p in range(2):
        own = {key: value[p].numpy() for key, value in named.items()}
        for b in range(3):

            def drawn(site: str, p: int = p, b: int = b):
                return noise.drawn[site][p, b].numpy() if site in noise.drawn else None

            slow = slow_trial(
                counts[p, b, : tiny.n_encoded_bins].numpy(),
                None if external is None else external[b].numpy(),
                own,
                drawn,
                sizes,
            )
            _assert_same(output, slow, p, b, has_controller=task.model.n_inferred_inputs > 0)


def expected_sites(tiny: Tiny, noise: KeyedNoise) -> set[str]:
    has_controller = tiny.model.get("n_inferred_inputs", 1) != 0
    sites = set()
    if noise.samples:
        sites |= {"sample.initial_condition"} | ({"sample.inputs"} if has_controller else set())
    if noise.dropout_rate > 0:
        sites |= {
            "dropout.data", "dropout.ic_encoder", "dropout.generator_start", "dropout.generator",
        }  # fmt: skip
        sites |= {"dropout.external"} if tiny.n_external_inputs else set()
        if has_controller:
            sites |= {"dropout.controller_encoder", "dropout.factors"}
    return sites


def _assert_same(output, slow, p: int, b: int, *, has_controller: bool) -> None:
    signals = output.signals
    pairs = [
        (output.initial_condition.mean[p, b], slow.ic_mean),
        (output.initial_condition.variance[p, b], slow.ic_std**2),
        (output.initial_condition.sample[p, b], slow.z),
        (output.generator_start[p, b], slow.generator_start),
        (signals.generator_states[p, :, b], slow.generator_states),
        (signals.factors[p, :, b], slow.factors),
        (output.parameters[0][p, b].flatten(1), slow.parameters),
    ]
    if has_controller:
        pairs += [
            (signals.controller_states[p, :, b], slow.controller_states),
            (output.inputs.mean[p, :, b], slow.input_mean),
            (output.inputs.variance[p, :, b], np.exp(slow.input_log_variance)),
            (output.inputs.sample[p, :, b], slow.inputs),
        ]
    else:
        assert output.inputs is None
        assert signals.controller_states is None
    for found, expected in pairs:
        torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-9, atol=1e-10)
