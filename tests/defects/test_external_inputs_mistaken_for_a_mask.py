"""A peer masks with the external input: it crashes without, and zeroes data of the same width."""

from __future__ import annotations

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages

N_TRIALS = 3
# As wide as the units, as wide as the encoded units, another width, none at all.
WIDTHS = [5, 3, 2, 0]


def rates(tiny: Tiny, trials, is_visible) -> torch.Tensor:
    task = tiny.task()
    (chunk,) = posterior_averages(
        tiny.state(task).weights, 0, task, trials, PosteriorOptions(n_samples=2),
        is_visible=is_visible,
    )  # fmt: skip
    return chunk.mean_counts


@pytest.mark.parametrize("n_external_inputs", WIDTHS)
def test_exactly_the_masks_entries_are_hidden_whatever_the_external_inputs(n_external_inputs):
    tiny = Tiny(n_external_inputs=n_external_inputs)
    random = torch.Generator().manual_seed(2)
    is_visible = torch.rand(N_TRIALS, tiny.n_encoded_bins, tiny.n_units, generator=random) < 0.6
    trials = tiny.trials(N_TRIALS)
    if n_external_inputs:  # values that would hide much if they were taken for a mask
        trials.external_inputs[:, ::2] = 0.0
    usual = rates(tiny, trials, is_visible)
    for trial, time, unit in [(0, 0, 0), (0, 3, 2), (1, 6, 3), (2, 5, 0), (2, 2, 2)]:
        kept = trials.counts[trial, time, unit].clone()
        trials.counts[trial, time, unit] += 5.0
        changed = rates(tiny, trials, is_visible)
        trials.counts[trial, time, unit] = kept
        reacts = not torch.equal(changed[trial], usual[trial])
        assert reacts == bool(is_visible[trial, time, unit])
