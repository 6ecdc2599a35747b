"""Coordinated dropout: what is hidden, what is scaled, and where gradient flows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import CPU, Case

from lfads_torch.training.augment import CoordinatedDropout, SessionBatch
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.streams import Streams

P, B, E, N, FORWARD = 3, 4, 6, 5, 2
RATES = [0.3, 0.0, 0.6]
ENCODED_UNIT = torch.tensor([True, False, True, True, True])


def batch(ic_bins: int, has_gradient=None) -> SessionBatch:
    counts = torch.arange(1.0, 1.0 + P * B * (E + FORWARD) * N).view(P, B, E + FORWARD, N).double()
    return SessionBatch(
        counts=counts,
        constant=torch.zeros(P, B),
        is_encoded_unit=ENCODED_UNIT,
        n_encoded_bins=E,
        first_bin=ic_bins,
        has_gradient=has_gradient,
    )


def dropped(ic_bins: int, pass_rates: list[float], has_gradient=None) -> SessionBatch:
    own = Case().state(
        (0, 1, 2), coordinated_dropout_rate=RATES, coordinated_dropout_pass_rate=pass_rates
    ).hyperparameters  # fmt: skip
    rows = torch.arange(B).expand(P, -1)
    noise = StreamNoise(Streams(0, torch.arange(P, device=CPU)), "train", 2, rows, torch.float64)
    return CoordinatedDropout(ic_bins)(batch(ic_bins, has_gradient), noise, own, site="a")


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_hidden_entries_alone_give_gradient(ic_bins):
    before, after = batch(ic_bins), dropped(ic_bins, [0.0] * P)
    hidden = (after.encoded == 0.0)[:, :, ic_bins:]
    assert 0.2 < float(hidden[0].double().mean()) < 0.4
    assert 0.5 < float(hidden[2].double().mean()) < 0.7
    scale = 1.0 / (1.0 - torch.tensor(RATES).double())
    kept = before.encoded[:, :, ic_bins:] * scale.view(-1, 1, 1, 1)
    wanted = torch.where(hidden, 0.0, kept)
    torch.testing.assert_close(after.encoded[:, :, ic_bins:], wanted, rtol=1e-7, atol=0.0)
    # Bins of the initial condition are neither hidden nor scaled.
    assert torch.equal(after.encoded[:, :, :ic_bins], before.encoded[:, :, :ic_bins])
    gradient = after.has_gradient[:, :, : E - ic_bins]
    assert torch.equal(gradient[0][..., ENCODED_UNIT], hidden[0][..., ENCODED_UNIT])
    assert torch.equal(gradient[2][..., ENCODED_UNIT], hidden[2][..., ENCODED_UNIT])


def test_what_is_never_encoded_keeps_its_gradient():
    after = dropped(0, [0.0] * P)
    assert bool(after.has_gradient[:, :, E:].all())
    assert bool(after.has_gradient[..., ~ENCODED_UNIT].all())


def test_a_member_with_rate_0_keeps_every_entry_and_gradient():
    before, after = batch(0), dropped(0, [0.0, 0.5, 0.0])
    assert torch.equal(after.encoded[1], before.encoded[1])
    assert bool(after.has_gradient[1].all())


def test_targets_stay_as_they_are():
    before, after = batch(0), dropped(0, [0.5] * P)
    assert torch.equal(after.target, before.target)


def test_a_share_of_the_seen_entries_passes_gradient():
    strict, passing = dropped(0, [0.0] * P), dropped(0, [0.25, 0.0, 1.0])
    assert torch.equal(strict.encoded, passing.encoded)
    seen = ~strict.has_gradient
    assert 0.1 < float(passing.has_gradient[0][seen[0]].double().mean()) < 0.4
    assert bool(passing.has_gradient[2].all())
    assert bool(passing.has_gradient[strict.has_gradient].all())


def test_gradient_that_was_blocked_before_stays_blocked():
    blocked = torch.zeros(P, B, E + FORWARD, N, dtype=torch.bool)
    assert not bool(dropped(0, [0.5] * P, blocked).has_gradient.any())


def test_sessions_have_masks_of_their_own():
    own = Case().state((0, 1, 2), coordinated_dropout_rate=RATES).hyperparameters
    noise = StreamNoise(
        Streams(0, torch.arange(P)), "train", 2, torch.arange(B).expand(P, -1), torch.float64
    )
    first, second = (CoordinatedDropout(0)(batch(0), noise, own, site=s) for s in ("a", "b"))
    assert not torch.equal(first.has_gradient[0], second.has_gradient[0])
    again = CoordinatedDropout(0)(batch(0), replace(noise, step=3), own, site="a")
    assert not torch.equal(first.has_gradient[0], again.has_gradient[0])
