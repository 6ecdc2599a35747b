"""Recordings that only look odd have no finding that is not theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checked_recordings import (
    PLAN,
    REQUIREMENTS,
    changed,
    check,
    clean,
    put,
)

from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.report import errors_of
from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.choose import synthesise


def test_units_that_shun_each_other_or_their_own_next_bin_share_no_spikes() -> None:
    def regular_and_opposed(counts: np.ndarray) -> None:
        counts[:, ::2, 0], counts[:, 1::2, 0] = 1, 0
        half = counts.shape[1] // 2
        counts[:, :half, 3], counts[:, half:, 3] = 2, 0
        counts[:, :half, 4], counts[:, half:, 4] = 0, 2

    codes = {finding.code for finding in check(changed(regular_and_opposed)).findings}
    assert "correlated_units" not in codes


@pytest.mark.parametrize(
    "recording",
    [clean(), changed(lambda counts: None), clean(33, 13, 3), synthesise("demo", 3)],
    ids=["clean", "as float", "odd sizes", "demo"],
)
def test_a_clean_recording_has_no_finding(recording: Recording) -> None:
    plan = replace(PLAN, batch_size=3)
    wanted = {"few_training_trials", "few_validation_trials"} if recording.n_trials == 33 else set()
    found = check(recording, CheckRequirements(plan=plan)).findings
    assert {finding.code for finding in found} == wanted


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("lorenz", ["short_memory"]),  # bins of 2 ms
        ("lorenz-2016", ["short_memory"]),
        ("chaotic-pulses", []),
    ],
)
def test_synthetic_systems_are_clean(name: str, codes: list[str]) -> None:
    recording = synthesise(name, 0, n_conditions=8)
    assert [finding.code for finding in check(recording).findings] == codes


def test_continuous_data_are_no_error_under_a_gaussian_observation() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    smooth = replace(clean(), counts=rng.normal(size=(60, 33, 15)))
    assert {finding.code for finding in errors_of(check(smooth))} == {
        "negative_counts", "fractional_counts",
    }  # fmt: skip
    gaussian = replace(REQUIREMENTS, observation="gaussian")
    assert check(smooth, gaussian).findings == ()
    codes = [finding.code for finding in check(clean(), gaussian).findings]
    assert codes == ["counts_under_continuous_observation"]


def test_conditions_in_blocks_are_no_drift() -> None:
    rng = np.random.Generator(np.random.Philox(6))
    condition = np.repeat([0, 1, 2], 20)
    rates = np.array([0.1, 0.3, 0.5])[condition][:, None, None]
    blocks = replace(clean(), counts=rng.poisson(rates, (60, 33, 15)), condition=condition)
    assert "drift" not in [finding.code for finding in check(blocks).findings]
    unlabelled = replace(blocks, condition=None)
    assert "drift" in [finding.code for finding in check(unlabelled).findings]


def test_a_population_burst_is_no_artefact() -> None:
    def burst(counts: np.ndarray) -> None:
        rng = np.random.Generator(np.random.Philox(7))
        counts[:, 12:20] = rng.poisson(1.5, counts[:, 12:20].shape)

    assert "synchronous_bins" not in [f.code for f in check(changed(burst)).findings]


def test_two_silent_trials_are_no_copies_and_no_leak() -> None:
    found = {finding.code for finding in check(changed(put(slice(2, 5), 0))).findings}
    assert found == {"outlier_trials"}


def test_the_maze_recording_raises_no_alarm() -> None:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "mc_maze_large_subset.h5"
    if not path.exists():
        pytest.skip(f"needs {path.name} in ../shared/data")
    import h5py

    with h5py.File(path) as file:
        maze = Recording(
            counts=file["spikes"][:],
            bin_width_s=0.005,
            trial_ids=np.arange(165),
            unit_ids=np.arange(162),
            condition=file["condition"][:],
        )
    assert check(maze).findings == ()
