"""The estimate of time and memory grows with sizes as its formula says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.estimate import (
    CostSizes,
    FitPlan,
    estimate_fit,
    measured_flops_per_s,
    members_at_once,
    memory_of,
)
from lfads_torch.data.recording import Recording

PLAN = FitPlan(flops_per_s=2e10, available_bytes=2**33)
SIZES = CostSizes(
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
    each = memory_of(PLAN, SIZES)
    grown = three.memory_bytes - one.memory_bytes
    assert three.members_at_once == 3
    assert grown == pytest.approx(2 * (each.per_member + each.per_member_at_once))


def test_on_a_cpu_a_few_train_at_once_in_groups_of_equal_size() -> None:
    plan = replace(PLAN, n_members=20)
    assert members_at_once(plan, SIZES, None) == 3  # of 20: six groups of 3 and one of 2
    assert members_at_once(replace(plan, n_members=4), SIZES, None) == 2
    assert members_at_once(replace(plan, threads=16), SIZES, None) == 10
    assert members_at_once(replace(plan, threads=64), SIZES, None) == 20
    assert members_at_once(replace(plan, is_on_cpu=False), SIZES, None) == 20
    small = replace(plan, generator_size=9, ic_encoder_size=9, n_factors=3, n_inferred_inputs=0)
    assert members_at_once(small, SIZES, None) == 20


def test_little_memory_makes_smaller_groups_and_never_none() -> None:
    plan, each = replace(PLAN, n_members=20, is_on_cpu=False), memory_of(PLAN, SIZES)
    room = each.shared + 20 * each.per_member + 5.5 * each.per_member_at_once
    assert members_at_once(replace(plan, memory_bytes=room), SIZES, 1e6) == 5
    assert members_at_once(plan, SIZES, room / 0.6) == 5
    assert members_at_once(plan, SIZES, 1.0) == 1
    assert members_at_once(replace(plan, members_at_once=7), SIZES, 1.0) == 7


def test_a_member_that_waits_costs_its_weights_and_no_more() -> None:
    few = replace(PLAN, members_at_once=1)
    one, three = (estimate_fit(replace(few, n_members=n), SIZES) for n in (1, 3))
    assert three.memory_bytes - one.memory_bytes == pytest.approx(
        2 * memory_of(PLAN, SIZES).per_member
    )


def test_other_backends_and_likelihoods_keep_more() -> None:
    def at_once(**changes) -> float:
        return memory_of(replace(PLAN, **changes), SIZES).per_member_at_once

    backends = [at_once(backend=name) for name in ("compiled-avx2", "portable", "reference")]
    assert backends == sorted(set(backends))
    assert at_once(is_poisson=False) > at_once()
    assert at_once(bytes_per_number=8) == 2 * at_once()


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


def test_free_memory_is_measured_as_for_reading(monkeypatch, tmp_path):
    said = tmp_path / "meminfo"
    said.write_text("MemFree: 3 kB\nMemAvailable: 5000 kB\n")
    monkeypatch.setattr("lfads_torch.data.free_memory._MEMORY", said)
    found = estimate_fit(FitPlan(flops_per_s=1e9), SIZES)
    assert found.available_bytes == 5_120_000
