"""A peer trims external inputs at the start and pads them at the end, encoder states the other way.

Here an event one bin later in the recording acts one bin later in the output, on every way.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.score import forward
from lfads_torch.training.streams import Streams


def first_reaction(tiny: Tiny, *, count_bin: int | None = None, input_bin: int | None = None):
    """The first generated bins at which controller and factors react to an event, or None."""
    task = tiny.task()
    named = task.layout.views(tiny.state(task).weights)
    # The initial condition must not carry the event, nor the encoder's backward direction.
    named["initial_condition.weight"].zero_()
    named["controller_encoder.input"][:, 1] = 0.0
    weights = ModelWeights.arrange(named, ("session",))
    trials = tiny.trials(1)
    changed = replace(
        trials, counts=trials.counts.clone(), external_inputs=trials.external_inputs.clone()
    )
    if count_bin is not None:
        changed.counts[:, count_bin] += 1.0
    if input_bin is not None:
        changed.external_inputs[:, input_bin] += 1.0
    index = torch.zeros(1, 1, dtype=torch.int64)
    before, after = (
        forward(task, each, index, 0, weights, Silence()).signals for each in (trials, changed)
    )
    found = []
    for name in ("controller_states", "factors"):
        differs = (getattr(before, name) != getattr(after, name))[0, :, 0].any(1)
        found.append(int(differs.int().argmax()) if bool(differs.any()) else None)
    return found


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("ic_bins", [0, 2, 4])
def test_counts_reach_the_controller_a_lag_after_their_own_bin(ic_bins, lag):
    tiny = Tiny(n_bins=11, n_encoded_bins=9, model={"ic_bins": ic_bins, "controller_lag_bins": lag})
    for recording_bin in range(tiny.n_bins):
        found = first_reaction(tiny, count_bin=recording_bin)
        arrives = recording_bin + lag
        if recording_bin < ic_bins or arrives >= tiny.n_encoded_bins:
            assert found == [None, None]
        else:
            assert found == [arrives - ic_bins, arrives - ic_bins]


@pytest.mark.parametrize("ic_bins", [0, 2, 4])
def test_external_inputs_act_in_their_own_bin_forward_bins_included(ic_bins):
    tiny = Tiny(n_bins=11, n_encoded_bins=9, model={"ic_bins": ic_bins})
    for recording_bin in range(tiny.n_bins):
        control, factors = first_reaction(tiny, input_bin=recording_bin)
        if recording_bin < ic_bins:
            assert (control, factors) == (None, None)
            continue
        assert factors == recording_bin - ic_bins
        # The controller sees the factors of the bin before.
        is_last = recording_bin == tiny.n_bins - 1
        assert control == (None if is_last else recording_bin - ic_bins + 1)


@pytest.mark.parametrize("n_trials", [(3, 200), (200, 3, 1), (1, 1), (129,)])
def test_no_batch_is_ever_empty_however_small_a_session(n_trials):
    batches = balanced_batches(Streams(0, torch.tensor([0, 1])), 4, n_trials, 16)
    sizes = [sum(index.shape[1] for index in batch) for batch in batches]
    assert min(sizes) >= 1
    assert max(sizes) <= 16
    for s, n in enumerate(n_trials):
        joined = torch.cat([batch[s] for batch in batches], 1)
        assert torch.equal(joined.sort(1).values, torch.arange(n).expand(2, -1))
