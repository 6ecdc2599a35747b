"""The estimate of time and memory grows with sizes as its formula says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.estimate import (
    DataSizes,
    FitPlan,
    estimate_fit,
    measured_flops_per_s,
)
from lfads_torch.data.recording import Recording

PLAN = FitPlan(flops_per_s=2e10, available_bytes=2**33)
SIZES = DataSizes(
    n_trials=165, n_train=129, n_valid=36, n_bins=100, n_encoded_bins=100, n_units=162,
    n_encoded_units=122, n_external_inputs=0,
)  # fmt: skip


def test_operations_of_the_maze_model_by_hand() -> None:
    def cell(inputs: int, hidden: int) -> int:
        return 2 * 3 * hidden * (inputs + hidden)

    forward = 100 * (
        2 * cell(122, 100) + 2 * cell(122, 80) + cell(160 + 40, 80) + cell(4, 100)
        + 2 * 80 * 2 * 4 + 2 * 100 * 40 + 2 * 40 * 162
    )  # fmt: skip
    found = estimate_fit(PLAN, SIZES)
    assert found.flops_per_step == 3 * 64 * forward
    assert found.steps_per_epoch == 3
    assert found.seconds == pytest.approx(1000 * found.seconds_per_epoch)
    assert 0.5 < found.seconds_per_epoch < 10  # the peers' is about 2.4 s


def test_without_controller_its_encoder_costs_nothing() -> None:
    without = estimate_fit(replace(PLAN, n_inferred_inputs=0), SIZES)
    assert without.flops_per_step < 0.7 * estimate_fit(PLAN, SIZES).flops_per_step
    assert without.memory_bytes < estimate_fit(PLAN, SIZES).memory_bytes


@pytest.mark.parametrize("field", ["n_bins", "n_units", "n_train"])
def test_more_data_cost_more(field: str) -> None:
    larger = replace(SIZES, **{field: 3 * getattr(SIZES, field)})
    assert estimate_fit(PLAN, larger).seconds > estimate_fit(PLAN, SIZES).seconds


def test_members_multiply_operations_and_activations() -> None:
    one, three = estimate_fit(PLAN, SIZES), estimate_fit(replace(PLAN, n_members=3), SIZES)
    assert three.flops_per_step == pytest.approx(3 * one.flops_per_step)
    assert 2 * one.memory_bytes < three.memory_bytes < 3 * one.memory_bytes


def test_the_rate_is_measured_where_it_is_not_given() -> None:
    assert 1e7 < measured_flops_per_s(33, 17, seconds=0.003) < 1e14
    found = estimate_fit(replace(PLAN, flops_per_s=None, available_bytes=None), SIZES)
    assert found.flops_per_s > 1e7
    assert found.available_bytes is None or found.available_bytes > 0


@pytest.mark.parametrize(
    ("plan", "code", "message"),
    [
        (replace(PLAN, epochs=10**7), "slow_fit", "an estimate"),
        (replace(PLAN, available_bytes=1000), "memory", "GiB are free"),
        (replace(PLAN, ic_bins=33), "no_bins_after_initial_segment", "the encoder sees 33 bins"),
    ],
)
def test_costs_that_are_too_high_are_found(plan: FitPlan, code: str, message: str) -> None:
    rng = np.random.Generator(np.random.Philox(0))
    recording = Recording(
        counts=rng.poisson(0.2, (99, 33, 5)),
        bin_width_s=0.01,
        trial_ids=np.arange(99),
        unit_ids=np.arange(5),
    )
    found = check_recording(recording, CheckRequirements(plan=plan)).findings
    assert [finding.code for finding in found] == [code]
    assert message in found[0].message
    assert check_recording(recording, CheckRequirements(plan=PLAN)).findings == ()
