"""Coordinated dropout: what is hidden from the encoder, and which entries alone give gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny, gradients_of_one_step

from lfads_torch.loss.objective import objective
from lfads_torch.loss.reconstruction import Target, session_reconstruction
from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.augment import CoordinatedDropout, SessionBatch
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.step import (
    augmentations,
    external_inputs,
    gather,
    loss_weights,
    training_step,
)
from lfads_torch.training.streams import Streams

SEED = 21


def augmented(
    tiny: Tiny, *, rates: tuple[float, ...], pass_rates: tuple[float, ...], n_trials: int = 3
) -> tuple[SessionBatch, SessionBatch]:
    """The batch before and after; no count is 0, so that a 0 after it was hidden."""
    task = tiny.task()
    trials = tiny.trials(n_trials)
    trials = replace(trials, counts=trials.counts + 1.0)
    members = torch.arange(len(rates))
    index = torch.arange(n_trials).expand(len(rates), -1)
    own = tiny.state(task, members=range(len(rates))).hyperparameters
    own = replace(
        own,
        coordinated_dropout_rate=torch.tensor(rates, dtype=tiny.dtype),
        coordinated_dropout_pass_rate=torch.tensor(pass_rates, dtype=tiny.dtype),
    )
    noise = StreamNoise(Streams(SEED, members), "train", 4, trials.rows[index], tiny.dtype)
    before = gather(trials, index, task, session=0)
    return before, CoordinatedDropout(task.model.ic_bins)(before, noise, own, site="session")


def gradient_reaches(batch: SessionBatch) -> torch.Tensor:
    """Where the loss has gradient with respect to the read-out's parameters, [P, B, T, N]."""
    n_members, n_trials, n_bins, n_units = batch.target.shape
    parameters = torch.full((n_members, n_trials, n_bins, 1, n_units), 3.0, dtype=torch.float64)
    target = Target(batch.target, batch.constant, batch.is_present, batch.has_gradient)
    family = Tiny().task().observations[0]
    loss = session_reconstruction(family, parameters.requires_grad_(), target, "mean")
    return torch.autograd.grad(loss.sum(), parameters)[0][:, :, :, 0] != 0


@pytest.mark.parametrize("ic_bins", [0, 1, 3])
def test_an_entry_gives_gradient_where_the_encoder_did_not_see_it_and_nowhere_else(ic_bins):
    """Entries of held-out units and forward bins, which are never encoded, always do."""
    tiny = Tiny(model={"ic_bins": ic_bins})
    _, after = augmented(tiny, rates=(0.5, 0.2), pass_rates=(0.0, 0.0))
    reaches = gradient_reaches(after)
    for t in range(tiny.n_bins - ic_bins):
        recording_bin = ic_bins + t
        for n in range(tiny.n_units):
            if recording_bin >= tiny.n_encoded_bins or n not in tiny.encoded_units:
                assert bool(reaches[:, :, t, n].all())
                continue
            is_hidden = after.encoded[:, :, recording_bin, n] == 0
            assert torch.equal(reaches[:, :, t, n], is_hidden)
    seen = reaches[:, :, : tiny.n_encoded_bins - ic_bins, list(tiny.encoded_units)]
    assert bool(seen.any()) and not bool(seen.all())  # noqa: PT018


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_what_is_seen_is_scaled_up_and_the_initial_segment_untouched(ic_bins):
    tiny = Tiny(model={"ic_bins": ic_bins})
    before, after = augmented(tiny, rates=(0.5, 0.2), pass_rates=(0.0, 0.0))
    assert torch.equal(after.encoded[:, :, :ic_bins], before.encoded[:, :, :ic_bins])
    encoded, original = after.encoded[:, :, ic_bins:], before.encoded[:, :, ic_bins:]
    for p, rate in enumerate((0.5, 0.2)):
        is_seen = encoded[p] != 0
        torch.testing.assert_close(encoded[p][is_seen], original[p][is_seen] / (1.0 - rate))
    assert torch.equal(after.target, before.target)


def test_rates_are_the_members_own():
    tiny = Tiny(n_bins=40, n_encoded_bins=40, n_units=30, encoded_units=tuple(range(30)))
    rates = (0.5, 0.1, 0.0, 0.7)
    _, after = augmented(tiny, rates=rates, pass_rates=(0.0,) * 4, n_trials=9)
    n_entries = after.encoded[0].numel()
    for p, rate in enumerate(rates):
        hidden = float((after.encoded[p] == 0).double().mean())
        assert abs(hidden - rate) <= 4.0 * (rate * (1 - rate) / n_entries) ** 0.5 + 1.0 / 65536


def test_a_member_with_rate_0_keeps_every_entry_and_every_gradient():
    before, after = augmented(Tiny(), rates=(0.5, 0.0), pass_rates=(0.0, 0.0))
    assert torch.equal(after.encoded[1], before.encoded[1])
    reaches = gradient_reaches(after)
    assert bool(reaches[1].all())
    assert not bool(reaches[0].all())


def test_the_pass_rate_lets_a_share_of_the_seen_entries_give_gradient_too():
    tiny = Tiny(n_bins=40, n_encoded_bins=40, n_units=30, encoded_units=tuple(range(30)))
    pass_rates = (0.0, 0.25, 1.0)
    _, after = augmented(tiny, rates=(0.4, 0.4, 0.4), pass_rates=pass_rates, n_trials=9)
    reaches = gradient_reaches(after)
    for p, pass_rate in enumerate(pass_rates):
        is_seen = after.encoded[p] != 0
        assert bool(reaches[p][~is_seen].all())
        share = float(reaches[p][is_seen].double().mean())
        n_seen = float(is_seen.sum())
        assert abs(share - pass_rate) <= 4.0 * (pass_rate * (1 - pass_rate) / n_seen) ** 0.5


def test_without_a_rate_there_is_no_augmentation():
    tiny = Tiny()
    task = tiny.task()
    own = tiny.state(task, members=(0, 1)).hyperparameters
    assert augmentations(task, own) == ()
    mixed = replace(own, coordinated_dropout_rate=torch.tensor([0.0, 0.3]))
    assert len(augmentations(task, mixed)) == 1


@pytest.mark.parametrize("pass_rate", [0.0, 0.3])
def test_a_step_uses_the_very_mask_that_hid_its_input(pass_rate):
    """The gradient of the read-out's bias, from the parts by hand, ordinary dropout switched on."""
    tiny = Tiny(
        missing_share=0.2,
        augmentation={
            "dropout_rate": 0.3,
            "coordinated_dropout_rate": 0.4,
            "coordinated_dropout_pass_rate": pass_rate,
        },
    )
    task, trials = tiny.task(), tiny.trials(5)
    state = tiny.state(task, members=(1, 6))
    index = torch.tensor([[3, 0, 1], [4, 2, 0]])
    expected_bias, expected_value = _bias_gradient_by_hand(task, state, trials, index)
    report = training_step(state, task, (trials,), (index,), seed=SEED)
    gradient = gradients_of_one_step(state, task)["readout.session.bias"]
    torch.testing.assert_close(gradient, expected_bias, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(report.terms.reconstruction, expected_value, rtol=1e-12, atol=0.0)


def _bias_gradient_by_hand(task, state, trials, index) -> tuple[torch.Tensor, torch.Tensor]:
    """Poisson: (rate - count) over the number present, at entries that were not seen."""
    own: Hyperparameters = state.hyperparameters
    streams, rows = Streams(SEED, state.members), trials.rows[index]
    quiet = StreamNoise(streams, "train", state.step, rows, task.dtype)
    batch = gather(trials, index, task, session=0)
    batch = CoordinatedDropout(task.model.ic_bins)(batch, quiet, own, site="session")
    noise = replace(quiet, dropout_rate=own.dropout_rate)
    named = task.layout.views(state.weights)
    given = ModelInput((batch.encoded,), (0,), external_inputs((trials,), (index,), task))
    output = lfads(
        given, ModelWeights.arrange(named, task.session_names), noise, task.model, task.sizes,
        kernels=task.kernels,
    )  # fmt: skip
    error = output.parameters[0][:, :, :, 0].exp() - batch.target
    n_present = batch.is_present.flatten(1).sum(1)
    counted = error * (batch.is_present & batch.has_gradient)
    terms = objective(
        output, (Target(batch.target, batch.constant, batch.is_present),), named,
        observations=task.observations, priors=task.priors, weights=loss_weights(state, task),
        settings=task.loss,
    )  # fmt: skip
    return counted.sum((1, 2)) / n_present[:, None], terms.reconstruction
