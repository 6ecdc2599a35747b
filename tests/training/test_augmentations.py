"""Jitter, shift, hidden units, sample validation: what stays, moves together, and trains."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.config.read import read_settings
from lfads_torch.errors import SettingsError
from lfads_torch.training.augment import Augmentation, CoordinatedDropout, SessionBatch
from lfads_torch.training.augmentations import AUGMENTATIONS, ordered_augmentations
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.sample_validation import SampleValidation, sample_validation_score
from lfads_torch.training.settings import AugmentationSettings
from lfads_torch.training.spike_jitter import SpikeJitter
from lfads_torch.training.step import augmentations, gather, likelihood_constant
from lfads_torch.training.streams import Streams
from lfads_torch.training.temporal_shift import TemporalShift

P, B, L, E, N = 3, 5, 9, 7, 4
ENCODED = torch.tensor([True, True, False, True])
ALL = AugmentationSettings(
    dropout_rate=0.0,
    coordinated_dropout_rate=0.4,
    spike_jitter_rate=0.6,
    temporal_shift_rate=0.6,
    sample_validation_rate=0.25,
)


def batch(*, first_bin: int = 0, missing: float = 0.0, n_bins: int = L) -> SessionBatch:
    random = torch.Generator().manual_seed(1)
    counts = torch.poisson(torch.full((P, B, n_bins, N), 1.3, dtype=torch.float64), random)
    present = torch.rand(counts.shape, generator=random) >= missing if missing else None
    external = torch.randn(P, B, n_bins, 2, generator=random, dtype=torch.float64)
    return SessionBatch(
        counts=counts if present is None else counts * present,
        constant=torch.zeros(P, B, dtype=torch.float64),
        is_encoded_unit=ENCODED,
        n_encoded_bins=min(E, n_bins),
        first_bin=first_bin,
        present=present,
        external_inputs=external,
    )


def applied(
    augmentation: Augmentation, before: SessionBatch, *, members=(0, 1, 2), step: int = 4, **own
) -> SessionBatch:
    rates = Case(augmentation=ALL).state(tuple(members), **own).hyperparameters
    rows = torch.arange(before.counts.shape[1]).expand(P, -1)
    noise = StreamNoise(Streams(9, torch.tensor(members)), "train", step, rows, torch.float64)
    return augmentation(before, noise, rates, site="a")


@pytest.mark.parametrize("n_bins", [1, 2, L, 33])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_jitter_keeps_the_spikes_of_every_trial_and_unit(n_bins, missing):
    before = batch(missing=missing, n_bins=n_bins)
    after = applied(SpikeJitter(3), before, spike_jitter_rate=[0.0, 0.5, 1.0])
    torch.testing.assert_close(after.counts.sum(2), before.counts.sum(2), rtol=0, atol=0)
    assert bool((after.counts >= 0).all())
    assert torch.equal(after.counts[0], before.counts[0])
    if n_bins > 1 and not missing:
        assert not torch.equal(after.counts[2], before.counts[2])
    if missing:
        assert bool((after.counts[~before.present] == 0).all())


def test_a_jittered_spike_moves_by_no_more_bins_than_were_set_and_by_each_of_them():
    counts = torch.zeros(P, 400, 21, 1, dtype=torch.float64)
    counts[:, :, 10] = 1.0
    lonely = replace(
        batch(), counts=counts, constant=None, n_encoded_bins=21,
        is_encoded_unit=torch.ones(1, dtype=torch.bool), external_inputs=None,
    )  # fmt: skip
    after = applied(SpikeJitter(2), lonely, spike_jitter_rate=[0.3, 1.0, 1.0])
    share = after.counts[..., 0].mean(1)
    assert bool((share[:, :8] == 0).all())
    assert bool((share[:, 13:] == 0).all())
    assert abs(float(share[0, 10]) - 0.7) < 4 * (0.21 / 400) ** 0.5
    assert float(share[1, 10]) == 0.0  # the distance is never 0
    for place in (8, 9, 11, 12):
        assert abs(float(share[1, place]) - 0.25) < 4 * (0.1875 / 400) ** 0.5


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_shifted_trial_moves_as_a_whole_with_what_belongs_to_it(missing):
    before = batch(missing=missing, first_bin=2)
    after = applied(TemporalShift(3), before, temporal_shift_rate=[0.0, 1.0, 1.0])
    known = torch.ones_like(before.counts, dtype=torch.bool)
    known = known if before.present is None else before.present
    seen = set()
    for p, b in itertools.product(range(P), range(B)):
        fits = [d for d in range(-3, 4) if same_after(before, known, after, (p, b), d)]
        assert len(fits) == 1
        assert (fits[0] == 0) == (p == 0)
        seen.add(fits[0])
    assert len(seen) > 3
    assert after.target.shape == before.target.shape


def same_after(before, known, after, place, distance) -> bool:
    """Whether the trial is the one before, `distance` bins later; beyond it nothing is present."""
    for t in range(L):
        source = t - distance
        if not 0 <= source < L:
            is_same = not bool(after.present[place][t].any()) and not bool(
                after.counts[place][t].any()
            )
        else:
            is_same = torch.equal(after.counts[place][t], before.counts[place][source])
            is_same &= torch.equal(after.present[place][t], known[place][source])
        nearest = min(max(source, 0), L - 1)
        is_same &= torch.equal(
            after.external_inputs[place][t], before.external_inputs[place][nearest]
        )
        if not is_same:
            return False
    return True


@pytest.mark.parametrize("first_bin", [0, 2])
def test_hidden_units_are_hidden_in_all_bins_of_a_trial(first_bin):
    before = replace(batch(first_bin=first_bin), counts=batch().counts + 1.0)
    after = applied(CoordinatedDropout(first_bin, by_unit=True), before)
    hidden = after.encoded[:, :, first_bin:] == 0
    assert torch.equal(hidden.any(2), hidden.all(2))
    assert 0.1 < float(hidden.double().mean()) < 0.7
    trained = after.has_gradient[:, :, : E - first_bin]
    assert torch.equal(trained[..., ENCODED], hidden[..., ENCODED])
    assert bool(after.has_gradient[..., ~ENCODED].all())
    assert torch.equal(after.encoded[:, :, :first_bin], before.encoded[:, :, :first_bin])


ORDERS = [
    order
    for order in itertools.permutations(AUGMENTATIONS)
    if order.index("sample_validation")
    < min(order.index("temporal_shift"), order.index("spike_jitter"))
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(n[0:3] for n in order))
@pytest.mark.parametrize("first_bin", [0, 2])
def test_in_any_order_input_and_target_move_together_and_what_is_seen_does_not_train(
    order, first_bin
):
    chain = ordered_augmentations(replace(ALL, order=",".join(order)), first_bin)
    after = replace(batch(first_bin=first_bin, missing=0.1))
    for augmentation in chain:
        after = applied(augmentation, after)
    # One array is behind both views: entry by entry the input is the target, or hidden.
    target, encoded = after.target[:, :, : E - first_bin], after.encoded[:, :, first_bin:]
    factor = after.visible[:, :, first_bin:]
    torch.testing.assert_close(encoded, target * factor)
    seen = (factor > 0) & ENCODED
    assert not bool((after.has_gradient[:, :, : E - first_bin] & seen).any())
    hidden = (factor == 0) & ENCODED
    assert bool(after.has_gradient[:, :, : E - first_bin][hidden].all())
    assert bool(after.has_gradient[:, :, E - first_bin :].all())


def test_where_input_and_target_are_seen_both_they_stay_the_same_counts():
    """In a peer jitter and shift moved them apart: their correlation fell to .21 and .11."""
    for augmentation in (SpikeJitter(4), TemporalShift(4)):
        own = {"spike_jitter_rate": [1.0] * P, "temporal_shift_rate": [1.0] * P}
        after = applied(augmentation, batch(n_bins=33), **own)
        encoded, target = after.encoded.numpy().ravel(), after.target[:, :, :E].numpy().ravel()
        assert np.corrcoef(encoded, target)[0, 1] == pytest.approx(1.0)


def test_what_is_held_out_depends_on_the_trial_alone():
    """Not on member, step, augmentation before it, or the external inputs of the same width."""
    before = batch()
    augmentation = SampleValidation(0, 0.25)
    usual = applied(augmentation, before)
    wide = replace(before, external_inputs=torch.zeros(P, B, L, N, dtype=torch.float64))
    others = [
        applied(augmentation, before, step=77),
        applied(augmentation, before, members=(5, 8, 1)),
        applied(augmentation, wide),
        applied(augmentation, replace(before, external_inputs=None)),
    ]
    for other in others:
        assert torch.equal(other.present, usual.present)
        assert torch.equal(other.encoded, usual.encoded)
    held_out = ~usual.present
    assert torch.equal(held_out[0], held_out[1])
    assert 0.1 < float(held_out[:, :, :E][..., ENCODED].double().mean()) < 0.4
    assert not bool(held_out[:, :, E:].any())
    assert not bool(held_out[..., ~ENCODED].any())
    seen = usual.present[:, :, :E]
    torch.testing.assert_close(usual.encoded, before.encoded * seen / 0.75)


def test_counts_held_out_reach_neither_input_nor_target_nor_gradient_of_any_later_augmentation():
    chain = ordered_augmentations(ALL, 0)
    before = batch()
    noise_rows = torch.arange(B).expand(P, -1)
    noise = StreamNoise(Streams(9, torch.arange(P)), "train", 4, noise_rows, torch.float64)
    held_out = SampleValidation(0, 0.25).held_out(before, noise, site="a")
    changed = replace(before, counts=torch.where(held_out, before.counts + 3.0, before.counts))
    results = []
    for start in (before, changed):
        for augmentation in chain:
            start = applied(augmentation, start)
        results.append(start)
    assert torch.equal(results[0].counts, results[1].counts)
    assert torch.equal(results[0].encoded, results[1].encoded)


@pytest.mark.parametrize("n_external_inputs", [0, 1, 5])
def test_the_score_is_of_the_entries_held_out_and_they_never_train(n_external_inputs):
    case = Case(
        augmentation=replace(ALL, spike_jitter_rate=0.3),
        n_external_inputs=n_external_inputs,
        missing_share=0.1,
    )
    task, data = case.task(), case.data()
    state = case.state((0, 3))
    index = torch.arange(case.n_train).expand(2, -1)
    plain = gather(data.train[0], index, task, session=0)
    noise = StreamNoise(
        Streams(case.seed, state.members), "train", 0, data.train[0].rows[index], task.dtype
    )
    rate = case.augmentation.sample_validation_rate
    held_out = SampleValidation(0, rate).held_out(plain, noise, site="a")[0]
    counts = data.train[0].counts
    changed = replace(
        data.train[0], counts=torch.where(held_out & (counts >= 0), counts + 1.0, counts)
    )
    rows = epochs(case, state, 1)
    trained = state_tensors(state)
    assert all(np.isfinite(rows[0].values["sample_validation"]))
    other = case.state((0, 3))
    from lfads_torch.training.loop import TrainingData, advance

    reports = []
    advance(
        other, task, TrainingData((changed,), data.valid), seed=case.seed, n_epochs=1,
        observe=reports.append,
    )  # fmt: skip
    assert same_bits(trained, state_tensors(other)) == []
    assert reports[0].values["sample_validation"] != rows[0].values["sample_validation"]
    assert reports[0].values["valid_score"] == rows[0].values["valid_score"]


def test_the_score_without_held_out_entries_is_nan_and_without_a_rate_not_recorded():
    case = Case(n_train=1, augmentation=replace(ALL, sample_validation_rate=1e-9))
    state = case.state()
    score = sample_validation_score(state, case.task(), case.data().train, seed=case.seed)
    assert bool(score.isnan().all())
    quiet = Case()
    assert "sample_validation" not in epochs(quiet, quiet.state(), 1)[0].values


def test_the_constant_follows_the_counts_that_moved():
    family = Case().task().observations[0]
    before = batch(missing=0.2, first_bin=1)
    after = applied(TemporalShift(2), before, temporal_shift_rate=[1.0] * P)
    expected = torch.lgamma(after.target + 1.0) * after.is_present
    torch.testing.assert_close(likelihood_constant(after, family), expected.sum((2, 3)))
    assert likelihood_constant(before, family) is before.constant


def test_only_what_is_switched_on_is_applied_in_the_order_of_the_setting():
    case = Case(augmentation=replace(ALL, order="coordinated_dropout, spike_jitter"))
    own = case.state((0, 1)).hyperparameters
    names = [type(each).__name__ for each in augmentations(case.task(), own)]
    assert names == ["CoordinatedDropout", "SpikeJitter"]
    off = replace(own, spike_jitter_rate=torch.zeros(2))
    assert [type(e) for e in augmentations(case.task(), off)] == [CoordinatedDropout]


def test_a_step_with_all_of_them_trains_every_member_as_if_alone():
    case = Case(augmentation=ALL, missing_share=0.1)
    together = case.state((0, 4))
    epochs(case, together, 1)
    for p, member in enumerate((0, 4)):
        alone = case.state((member,))
        epochs(case, alone, 1)
        torch.testing.assert_close(alone.weights[0], together.weights[p], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (("augmentation.order=spike_jitter,spike_jitter",), "more than once"),
        (
            ("augmentation.order=coordinated_dropout", "augmentation.spike_jitter_rate=0.1"),
            "without spike_jitter; add it there",
        ),
        (
            (
                "augmentation.order=temporal_shift,sample_validation",
                "augmentation.sample_validation_rate=0.1",
            ),
            "needed is sample_validation first",
        ),
    ],
)
def test_orders_that_cannot_work_say_why(overrides, text):
    with pytest.raises(SettingsError, match=text):
        read_settings(overrides=overrides)


def test_an_unknown_augmentation_is_answered_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"Did you mean .spike_jitter...*coordinated_dropout"):
        ordered_augmentations(replace(ALL, order="spike_jiter"), 0)


def test_a_shifted_trial_does_not_leave_its_own_bins():
    ends = torch.tensor([9, 4, 6, 9, 5]).expand(P, -1)
    inside = (torch.arange(L) < ends[..., None])[..., None].expand(-1, -1, -1, N)
    before = batch()
    before = replace(before, counts=before.counts * inside, present=inside, n_trial_bins=ends)
    after = applied(TemporalShift(3), before, temporal_shift_rate=[1.0] * P)
    assert not bool(after.present[~inside].any())
    assert not bool(after.counts[~inside].any())


@pytest.mark.parametrize("augmentation", [SpikeJitter(3), TemporalShift(3)])
def test_an_unequal_trial_moves_alike_however_long_its_company_is(augmentation):
    ends = torch.tensor([9, 4, 6, 2, 1]).expand(P, -1)
    results = []
    for n_bins in (L, 33):
        inside = (torch.arange(n_bins) < ends[..., None])[..., None]
        given = batch()
        padded = [
            torch.nn.functional.pad(each, (0, 0, 0, n_bins - L)) * inside
            for each in (given.counts, given.external_inputs)
        ]
        before = replace(
            given, counts=padded[0], external_inputs=padded[1], n_encoded_bins=n_bins,
            present=inside.expand(-1, -1, -1, N), n_trial_bins=ends,
        )  # fmt: skip
        own = {"spike_jitter_rate": [1.0] * P, "temporal_shift_rate": [1.0] * P}
        results.append(applied(augmentation, before, **own))
    short, long = results
    inside = (torch.arange(L) < ends[..., None])[..., None]
    for name in ("counts", "present", "encoded", "target"):
        found, expected = getattr(long, name), getattr(short, name)
        assert torch.equal(found[:, :, :L], expected)
        assert not bool(found[:, :, L:].any())
    assert torch.equal(long.external_inputs[:, :, :L] * inside, short.external_inputs * inside)
    # No end shows: what comes in from beyond keeps the trial's own last value.
    if isinstance(augmentation, TemporalShift):
        assert bool((short.external_inputs != 0).any(-1)[inside[..., 0]].all())
    else:  # a spike of a bin without another beside it has nowhere to go, others have
        assert torch.equal(short.counts[:, 4], before.counts[:, 4, :L])
        assert torch.equal(short.counts.sum(2), before.counts.sum(2))


def test_the_augmentation_of_the_docs_page_works_as_written(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "my_noise_of_the_page.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    order = "my_noise_of_the_page:SecondHalfHidden"
    (augmentation,) = ordered_augmentations(replace(ALL, order=order), 0)
    after = applied(augmentation, batch())
    assert not bool(after.encoded[:, :, L // 2 :].any())
    assert bool(after.has_gradient[:, :, L // 2 :].all())
    assert not bool(after.has_gradient[:, :, : L // 2].any())
