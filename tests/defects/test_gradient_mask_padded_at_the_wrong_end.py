"""With a separate initial segment, a peer shifts the mask: 39 % of what was seen still trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.loss.reconstruction import Target, session_reconstruction
from lfads_torch.training.augment import CoordinatedDropout
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.step import gather
from lfads_torch.training.streams import Streams


@pytest.mark.parametrize("n_encoded_bins", [12, 20])
@pytest.mark.parametrize("ic_bins", [0, 1, 5, 11])
def test_no_entry_that_the_controllers_encoder_saw_gives_gradient(ic_bins, n_encoded_bins):
    tiny = Tiny(
        n_bins=20,
        n_encoded_bins=n_encoded_bins,
        n_units=7,
        encoded_units=(1, 2, 4, 6),
        model={"ic_bins": ic_bins},
    )
    task, trials = tiny.task(), tiny.trials(9)
    trials = replace(trials, counts=trials.counts + 1.0)  # so that a 0 was hidden
    index, members = torch.arange(9)[None], torch.tensor([3])
    own = replace(tiny.state(task).hyperparameters, coordinated_dropout_rate=torch.tensor([0.4]))
    noise = StreamNoise(Streams(1, members), "train", 0, trials.rows[index], tiny.dtype)
    batch = gather(trials, index, task, session=0)
    batch = CoordinatedDropout(ic_bins)(batch, noise, own, site="session")
    parameters = torch.full((1, 9, 20 - ic_bins, 1, 7), 4.0, dtype=tiny.dtype).requires_grad_()
    target = Target(batch.target, batch.constant, None, batch.has_gradient)
    loss = session_reconstruction(task.observations[0], parameters, target, "mean")
    has_gradient = torch.autograd.grad(loss.sum(), parameters)[0][:, :, :, 0] != 0
    units = list(tiny.encoded_units)
    trained = has_gradient[:, :, : n_encoded_bins - ic_bins, units]
    was_seen = batch.encoded[:, :, ic_bins:, units] != 0
    n_wrong = int((trained & was_seen).sum())
    assert f"{100.0 * n_wrong / int(was_seen.sum()):.1f} %" == "0.0 %"
    assert bool(trained[~was_seen].all())
    assert bool(has_gradient[:, :, n_encoded_bins - ic_bins :].all())
