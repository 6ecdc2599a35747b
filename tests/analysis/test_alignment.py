"""Averages, components and regressions that bring sessions together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.analysis.alignment.averages import (
    choose_kind,
    require_alignment,
    session_averages,
)
from lfads_torch.analysis.alignment.regression import global_components, ridge_onto
from lfads_torch.analysis.alignment.report import session_alignment
from lfads_torch.data.recording import Recording, Split
from lfads_torch.errors import DataError

N_CONDITIONS, N_TRIALS, N_BINS = 5, 4, 33


def latents(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 6, N_BINS)
    phase, rate = rng.uniform(0, 6, (2, N_CONDITIONS, 3))
    return np.sin(time[None, :, None] * (0.5 + 0.2 * rate[:, None]) + phase[:, None])


def session(name: str, n_units: int, seed: int, *, noise: float = 0.0) -> Recording:
    """Units that are linear in three latents of the condition; the last unit is held out."""
    rng = np.random.default_rng(seed)
    counts = 3.0 + latents() @ rng.normal(size=(3, n_units))
    condition = np.repeat(np.arange(N_CONDITIONS), N_TRIALS)
    trials = counts[condition] + noise * rng.normal(size=(len(condition), N_BINS, n_units))
    trial_set = np.array(["train", "train", "valid", "train"] * N_CONDITIONS)
    trials[trial_set == "valid"] = 1e6  # nothing of these may be used
    return Recording(
        counts=trials,
        bin_width_s=0.01,
        trial_ids=np.arange(len(condition)),
        unit_ids=np.arange(n_units),
        session=name,
        condition=condition,
        split=Split(
            trial_set=trial_set,
            is_encoded=np.arange(n_units) < n_units - 1,
            n_encoded_bins=N_BINS - 2,
        ),
    )


def test_averages_are_of_training_trials_encoded_units_and_bins_alone() -> None:
    recording = session("a", 7, 1)
    found = session_averages(recording, "conditions", smoothing_ms=0.0)
    counts = recording.counts.reshape(N_CONDITIONS, N_TRIALS, N_BINS, 7)
    expected = counts[:, [0, 1, 3]].mean(1)[:, : N_BINS - 2, :6]
    np.testing.assert_allclose(found.values + found.mean, expected, atol=1e-10)
    np.testing.assert_allclose(found.values.mean((0, 1)), 0.0, atol=1e-10)


def test_missing_entries_are_passed_over_and_what_is_missing_everywhere_is_the_mean() -> None:
    recording = session("a", 4, 1)
    counts = recording.counts.copy()
    counts[0, 3, 0] = np.nan  # one trial of condition 0
    counts[:4, 5, 1] = np.nan  # every trial of condition 0
    found = session_averages(replace(recording, counts=counts), "conditions", smoothing_ms=0.0)
    whole = session_averages(recording, "conditions", smoothing_ms=0.0)
    np.testing.assert_allclose(
        (found.values + found.mean)[0, 3, 0], (whole.values + whole.mean)[0, 3, 0]
    )
    assert found.values[0, 5, 1] == 0.0


def test_the_average_trial_stands_in_where_a_session_has_no_conditions() -> None:
    with_them, without = session("a", 4, 1), replace(session("b", 5, 2), condition=None)
    assert choose_kind([with_them, with_them], "auto") == ("conditions", "")
    kind, reason = choose_kind([with_them, without], "auto")
    assert kind == "trial_average"
    assert "b has no conditions" in reason
    with pytest.raises(DataError, match=r"b has no conditions\. Averages over conditions need"):
        choose_kind([with_them, without], "conditions")
    found = session_averages(without, "trial_average", smoothing_ms=20.0)
    assert found.values.shape == (1, N_BINS - 2, 4)
    assert found.conditions == ("all trials",)


def test_sessions_with_other_conditions_are_named() -> None:
    one, two = session("a", 4, 1), session("b", 4, 2)
    other = replace(two, condition=two.condition + 1)
    with pytest.raises(DataError, match=r"a and b differ in their conditions \(5 and 5; .* 0, 5"):
        choose_kind([one, other], "conditions")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start_s": 0.1}, "start, s from the event: 0 and 0.1"),
        ({"bin_width_s": 0.02}, "bins wide, s: 0.01 and 0.02"),
    ],
)
def test_sessions_aligned_to_another_event_are_refused(change, words) -> None:
    one, two = session("a", 4, 1), session("b", 4, 2)
    with pytest.raises(DataError, match=words):
        require_alignment([one, replace(two, **change)])


def test_components_are_those_of_the_joint_averages() -> None:
    averages = [
        session_averages(session(name, n, seed), "conditions", smoothing_ms=0.0).values
        for name, n, seed in (("a", 7, 1), ("b", 5, 2))
    ]
    found = global_components(averages, 3)
    joint = np.concatenate(averages, 2).reshape(-1, 10)
    variance, loadings = np.linalg.eigh(joint.T @ joint)
    expected = joint @ loadings[:, ::-1][:, :3]
    got = found.values.reshape(-1, 3)
    scale = got[:, 0].std()
    for r in range(3):
        assert abs(np.corrcoef(expected[:, r], got[:, r])[0, 1]) == pytest.approx(1.0)
        assert got[:, r].std() / scale == pytest.approx(expected[:, r].std() / expected[:, 0].std())
    assert scale == pytest.approx(1.0)
    np.testing.assert_allclose(found.share, variance[::-1][:3] / variance.sum())
    with pytest.raises(DataError, match=r"readin_size is 4, but .* have 3 components"):
        global_components(averages, 4)


def test_ridge_is_the_closed_form_and_its_folds_leave_conditions_out() -> None:
    averages = session_averages(session("a", 7, 1, noise=0.3), "conditions", smoothing_ms=0.0)
    other = session_averages(session("b", 9, 2, noise=0.3), "conditions", smoothing_ms=0.0)
    components = global_components([averages.values, other.values], 3)
    found = ridge_onto(averages.values, components.values)
    x, y = averages.values.reshape(-1, 6), components.values.reshape(-1, 3)
    scale = found.penalty * (x**2).sum() / 6
    np.testing.assert_allclose(found.weight, np.linalg.solve(x.T @ x + scale * np.eye(6), x.T @ y))
    x, y = averages.values[1:].reshape(-1, 6), components.values[1:].reshape(-1, 3)
    scale = found.penalty * (x**2).sum() / 6
    left_out = np.linalg.solve(x.T @ x + scale * np.eye(6), x.T @ y)
    np.testing.assert_allclose(found.predicted[0], averages.values[0] @ left_out)


def test_a_session_that_shares_its_latents_aligns_and_exchanged_conditions_do_not() -> None:
    each = [
        session_averages(session(name, 8, seed, noise=0.2), "conditions", smoothing_ms=0.0)
        for name, seed in (("a", 1), ("b", 2), ("c", 3))
    ]
    components = global_components([one.values for one in each], 3)
    found = session_alignment(each[0], components, ridge_onto(each[0].values, components.values))
    assert found.variance_explained > 0.9
    assert (found.correlation > 0.9).all()
    assert found.shuffled is not None
    assert found.shuffled < 0.3
