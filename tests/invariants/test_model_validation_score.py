"""The validation score against its definition, and what its noise may depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats
from tiny_models import Tiny

import lfads_torch.training.score as score_module
from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.resident import ResidentTrials
from lfads_torch.training.score import forward, validation_reconstruction
from lfads_torch.training.streams import Streams

SEED = 17


def nats_and_entries(
    tiny: Tiny, state, trials: ResidentTrials, which: str, *, samples: bool = True
) -> tuple[list[float], list[int]]:
    """Entry by entry with scipy, constants included; [P] sums and [P] numbers of entries."""
    task = tiny.task()
    weights = ModelWeights.arrange(task.layout.views(state.weights), ("session",))
    n_members, start = state.n_members, task.model.ic_bins
    index = torch.arange(trials.n_trials).expand(n_members, -1)
    noise = Silence()
    if samples:
        streams = Streams(SEED, state.members)
        noise = StreamNoise(streams, "validation", state.epoch, trials.rows[index], tiny.dtype)
    parameters = forward(task, trials, index, 0, weights, noise).parameters[0]
    sums, numbers = [0.0] * n_members, [0] * n_members
    for p in range(n_members):
        for b in range(trials.n_trials):
            for t in range(tiny.n_bins - start):
                for n in range(tiny.n_units):
                    is_encoded = n in tiny.encoded_units
                    is_counted = {
                        "all": True,
                        "held_out": not is_encoded,
                        "encoded": is_encoded and start + t < tiny.n_encoded_bins,
                    }[which]
                    if trials.is_present is not None and not trials.is_present[b, start + t, n]:
                        continue
                    if not is_counted:
                        continue
                    rate = float(parameters[p, b, t, 0, n].exp())
                    sums[p] -= float(
                        stats.poisson.logpmf(float(trials.counts[b, start + t, n]), rate)
                    )
                    numbers[p] += 1
    return sums, numbers


@pytest.mark.parametrize("which", ["all", "encoded", "held_out"])
@pytest.mark.parametrize("ic_bins", [0, 2])
@pytest.mark.parametrize("missing_share", [0.0, 0.3])
def test_the_score_is_the_mean_over_present_counted_entries(missing_share, ic_bins, which):
    tiny = Tiny(
        missing_share=missing_share, model={"ic_bins": ic_bins}, training={"score_entries": which}
    )
    task, trials = tiny.task(), tiny.trials(3)
    state = tiny.state(task, members=(0, 4))
    found = validation_reconstruction(state, task, (trials,), seed=SEED)
    sums, numbers = nats_and_entries(tiny, state, trials, which)
    expected = [total / n for total, n in zip(sums, numbers, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-11)


def test_the_posterior_mean_can_be_scored_instead_of_a_sample():
    tiny = Tiny(training={"score_latent": "mean"})
    task, trials = tiny.task(), tiny.trials(3)
    state = tiny.state(task)
    found = validation_reconstruction(state, task, (trials,), seed=SEED)
    sums, numbers = nats_and_entries(tiny, state, trials, "all", samples=False)
    assert float(found[0]) == pytest.approx(sums[0] / numbers[0], rel=1e-11)
    assert torch.equal(found, validation_reconstruction(state, task, (trials,), seed=SEED + 1))


def test_dropout_and_augmentation_are_off():
    tiny = Tiny()
    task, trials, state = tiny.task(), tiny.trials(3), tiny.state(tiny.task())
    before = validation_reconstruction(state, task, (trials,), seed=SEED)
    high = torch.tensor([0.5], dtype=torch.float64)
    state.hyperparameters = replace(
        state.hyperparameters, dropout_rate=high, coordinated_dropout_rate=high
    )
    assert torch.equal(validation_reconstruction(state, task, (trials,), seed=SEED), before)


@pytest.mark.parametrize("trials_per_pass", [1, 2, 4])
def test_how_many_trials_go_at_once_is_irrelevant(trials_per_pass, monkeypatch):
    tiny = Tiny(missing_share=0.2)
    task, trials = tiny.task(), tiny.trials(5)
    state = tiny.state(task, members=(0, 1))
    whole = validation_reconstruction(state, task, (trials,), seed=SEED)
    monkeypatch.setattr(score_module, "trials_at_once", lambda task, n: trials_per_pass)
    parts = validation_reconstruction(state, task, (trials,), seed=SEED)
    torch.testing.assert_close(parts, whole, rtol=1e-13, atol=0.0)


def test_trials_without_anything_present_change_nothing():
    tiny = Tiny(missing_share=0.2)
    task, trials, state = tiny.task(), tiny.trials(5), tiny.state(tiny.task())
    emptied = replace(trials, counts=trials.counts.clone(), is_present=trials.is_present.clone())
    emptied.counts[4], emptied.is_present[4] = 0.0, False
    four = trials.take(torch.arange(4))
    torch.testing.assert_close(
        validation_reconstruction(state, task, (emptied,), seed=SEED),
        validation_reconstruction(state, task, (four,), seed=SEED),
        rtol=1e-13,
        atol=0.0,
    )


def test_nothing_to_count_is_no_number():
    tiny = Tiny(encoded_units=(0, 1, 2, 3, 4), training={"score_entries": "held_out"})
    task = tiny.task()
    found = validation_reconstruction(tiny.state(task), task, (tiny.trials(2),), seed=SEED)
    assert bool(found.isnan().all())


def test_the_noise_depends_on_seed_epoch_and_member_and_not_on_the_step():
    tiny = Tiny()
    task, trials = tiny.task(), tiny.trials(3)

    def score(*, member: int = 0, epoch: int = 0, step: int = 0, seed: int = SEED) -> float:
        state = tiny.state(task)
        state.members = torch.tensor([member])
        state.epoch, state.step = epoch, step
        return float(validation_reconstruction(state, task, (trials,), seed=seed))

    usual = score()
    assert score() == usual
    assert score(step=9) == usual
    changed = [score(member=1), score(epoch=1), score(seed=SEED + 1)]
    assert len({usual, *changed}) == 4


def test_a_trials_share_of_the_score_does_not_depend_on_the_other_trials():
    tiny = Tiny()
    task, trials, state = tiny.task(), tiny.trials(4), tiny.state(tiny.task())
    whole = validation_reconstruction(state, task, (trials,), seed=SEED)
    alone = [
        float(validation_reconstruction(state, task, (trials.take(torch.tensor([b])),), seed=SEED))
        for b in range(4)
    ]
    assert float(whole) == pytest.approx(sum(alone) / 4, rel=1e-13)
