"""What the controller sees at each bin, and which recording bin a generated bin is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import KeyedNoise, Tiny

from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.encoder import encode, lagged
from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.resident import known_of, reside
from lfads_torch.training.score import forward
from lfads_torch.training.step import external_inputs, gather

N_ENCODED = 5


@pytest.mark.parametrize("n_forward", [0, 1, 3])
@pytest.mark.parametrize("lag", [0, 1, 2, 3, 4, 5, 6, 9])
def test_lagged_states_come_from_the_bins_they_should(lag, n_forward):
    """States carry their own bin's number: forward +(t+1), backward -(t+1)."""
    number = torch.arange(1.0, N_ENCODED + 1)
    states = torch.stack([number, -number])[None, :, :, None, None].expand(2, 2, -1, 3, 1)
    seen = lagged(states, lag, N_ENCODED + n_forward)
    assert seen.shape == (2, N_ENCODED + n_forward, 3, 2)
    for t in range(N_ENCODED + n_forward):
        is_encoded = t < N_ENCODED
        forward_bin = t - lag if is_encoded and t - lag >= 0 else None
        backward_bin = t + lag if is_encoded and t + lag < N_ENCODED else None
        expected = [
            0.0 if forward_bin is None else forward_bin + 1.0,
            0.0 if backward_bin is None else -(backward_bin + 1.0),
        ]
        assert seen[:, t].reshape(-1, 2).tolist() == [expected] * 6


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("ic_bins", [0, 1, 3])
@pytest.mark.parametrize("changed", [0, 2, 3, 4, 6])
def test_a_change_in_one_bin_reaches_the_controller_where_it_should(changed, ic_bins, lag):
    """Forward states change from the bin on, `lag` bins later; backward ones up to it, earlier."""
    tiny = Tiny(model={"ic_bins": ic_bins, "controller_lag_bins": lag})
    task = tiny.task()
    weights = ModelWeights.arrange(task.layout.views(tiny.state(task).weights), ("session",))
    n_generated = tiny.n_bins - ic_bins
    x = torch.zeros(2, 1, 1, tiny.n_encoded_bins, 3, dtype=torch.float64)
    x[1, :, :, changed] = 1.0
    without, with_change = (
        encode(each, weights, Silence(), task.model, kernels=task.kernels, n_generated=n_generated)
        for each in x
    )
    differs = (without.controller_states != with_change.controller_states)[0, :, 0]
    width = task.model.controller_encoder_size
    recording_bin = torch.arange(n_generated) + ic_bins
    is_encoded = recording_bin < tiny.n_encoded_bins
    is_seen = changed >= ic_bins
    forwards = is_encoded & (recording_bin >= changed + lag) & is_seen
    backwards = is_encoded & (recording_bin <= changed - lag) & is_seen
    assert torch.equal(differs[:, :width].any(1), forwards)
    assert torch.equal(differs[:, width:].any(1), backwards)
    reads_initial = ic_bins == 0 or changed < ic_bins
    assert torch.equal(without.mean, with_change.mean) == (not reads_initial)


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_an_external_input_acts_from_its_own_bin_on(ic_bins):
    """Without a controller nothing else could carry the change."""
    tiny = Tiny(model={"ic_bins": ic_bins, "n_inferred_inputs": 0}, n_external_inputs=1)
    task = tiny.task()
    weights = ModelWeights.arrange(task.layout.views(tiny.state(task).weights), ("session",))
    trials = tiny.trials(1)
    index = torch.zeros(1, 1, dtype=torch.int64)
    before = forward(task, trials, index, 0, weights, Silence()).signals.factors
    for recording_bin in range(tiny.n_bins):
        changed = tiny.trials(1)
        changed.external_inputs[:, recording_bin] += 1.0
        after = forward(task, changed, index, 0, weights, Silence()).signals.factors
        differs = (before != after)[0, :, 0].any(1)
        generated = torch.arange(tiny.n_bins - ic_bins) + ic_bins
        is_late = generated >= recording_bin
        expected = is_late if recording_bin >= ic_bins else torch.zeros_like(is_late)
        assert torch.equal(differs, expected)


@pytest.mark.parametrize("ic_bins", [0, 1, 4])
def test_targets_and_inputs_of_a_generated_bin_are_those_of_its_recording_bin(ic_bins):
    tiny = Tiny(model={"ic_bins": ic_bins}, missing_share=0.3)
    task, trials = tiny.task(), tiny.trials(3)
    index = torch.tensor([[2, 0]])
    batch = gather(trials, index, task, session=0)
    external = external_inputs((trials,), (index,), task)
    assert batch.encoded.shape[2] == tiny.n_encoded_bins
    for place, trial in enumerate((2, 0)):
        assert torch.equal(batch.encoded[0, place], trials.counts[trial, : tiny.n_encoded_bins])
        for t in range(tiny.n_bins - ic_bins):
            recording_bin = ic_bins + t
            assert torch.equal(batch.target[0, place, t], trials.counts[trial, recording_bin])
            assert torch.equal(
                batch.is_present[0, place, t], trials.is_present[trial, recording_bin]
            )
            of_bin = external[0, place, recording_bin]
            assert torch.equal(of_bin, trials.external_inputs[trial, recording_bin])


def test_external_inputs_that_are_not_given_are_zero():
    counts, known = np.ones((2, 4, 3)), np.ones((2, 4, 1), dtype=np.float32)
    known[:, 3] = np.nan
    dtype = torch.float64
    moved = known_of(2, device=torch.device("cpu"), dtype=dtype, external_inputs=known)
    trials = reside(counts, Poisson(), known=moved, ic_bins=0, dtype=dtype)
    assert trials.external_inputs[:, :, 0].tolist() == [[1.0, 1.0, 1.0, 0.0]] * 2


def test_forward_bins_do_not_depend_on_their_own_counts():
    tiny = Tiny()
    task = tiny.task()
    weights = ModelWeights.arrange(task.layout.views(tiny.state(task).weights), ("session",))
    trials, changed = tiny.trials(2), tiny.trials(2)
    changed.counts[:, tiny.n_encoded_bins :] += 3.0
    index = torch.arange(2)[None]
    first, second = (
        forward(task, each, index, 0, weights, Silence()).parameters[0]
        for each in (trials, changed)
    )
    assert torch.equal(first, second)


def test_held_out_units_are_never_seen():
    """The gradient of every output with respect to their counts is exactly zero."""
    tiny = Tiny()
    task = tiny.task()
    weights = ModelWeights.arrange(task.layout.views(tiny.state(task).weights), ("session",))
    counts = tiny.trials(2).counts[None, :, : tiny.n_encoded_bins].requires_grad_()
    given = ModelInput((counts,), (0,), torch.zeros(1, 2, tiny.n_bins, 2, dtype=torch.float64))
    output = lfads(given, weights, KeyedNoise(1, 2), task.model, task.sizes, kernels=task.kernels)
    total = output.parameters[0].square().sum() + output.initial_condition.variance.sum()
    (gradient,) = torch.autograd.grad(total, counts)
    reaches = (gradient != 0).flatten(0, 2).any(0)
    assert reaches.tolist() == [n in tiny.encoded_units for n in range(tiny.n_units)]
