"""The flat buffer, where weights start, and the factor matrix's rows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.kernels.decoder.reference import unit_rows
from lfads_torch.kernels.gru.reference import gru_cell
from lfads_torch.loss.observations.base import UnitMoments
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.gates import gate_biases
from lfads_torch.model.settings import ModelSettings
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.model.weights import Layout, WeightSpec, initial_weights, model_specs
from lfads_torch.training.streams import Streams

# Sizes that are all different, so that no fan-in can be mistaken for another.
SETTINGS = ModelSettings(
    ic_encoder_size=31,
    controller_encoder_size=23,
    controller_size=29,
    generator_size=43,
    n_factors=37,
    n_inferred_inputs=11,
    initial_condition_size=19,
)
N_UNITS, N_ENCODED, N_EXTERNAL = 67, 53, 13
SESSION = SessionSizes(name="session", n_units=N_UNITS, encoded_units=tuple(range(N_ENCODED)))
SIZES = ModelSizes(n_bins=9, n_encoded_bins=7, sessions=(SESSION,), n_external_inputs=N_EXTERNAL)
FAN_IN = {
    "ic_encoder.input": N_ENCODED + 31,
    "ic_encoder.recurrent": N_ENCODED + 31,
    "controller_encoder.input": N_ENCODED + 23,
    "controller_encoder.recurrent": N_ENCODED + 23,
    "controller.input": 2 * 23 + 37,
    "controller.recurrent": 29,
    "generator.input": 11 + N_EXTERNAL,
    "generator.recurrent": 43,
    "initial_condition.weight": 2 * 31,
    "generator_start.weight": 19,
    "factors.weight": 43,
    "controller.output_weight": 29,
    "readout.session.weight": 37,
}


def started(n_members: int = 2, *, settings: ModelSettings = SETTINGS) -> dict[str, torch.Tensor]:
    specs = model_specs(settings, SIZES, {"session": torch.linspace(-3, 1, N_UNITS)})
    layout, streams = Layout(tuple(specs)), Streams(8, torch.arange(n_members))

    def normal(name: str, n: int) -> torch.Tensor:
        return streams.normal(name, 0, None, n)[:, 0]

    return layout.views(initial_weights(layout, normal, n_members))


def test_every_matrix_starts_normal_with_the_variance_of_its_fan_in():
    named = started()
    random = {name for name, value in named.items() if len(value[0].unique()) > 3}
    assert random == {*FAN_IN, "readout.session.bias"}
    for name, fan_in in FAN_IN.items():
        values = named[name].flatten()
        scaled = values * math.sqrt(fan_in)
        spread = 4.0 / math.sqrt(len(values))  # four standard errors of the mean
        assert abs(float(scaled.mean())) < spread, name
        assert abs(float(scaled.var()) - 1.0) < spread * math.sqrt(2.0), name
        assert float(scaled.abs().max()) > 2.5, name  # not cut off


def test_gates_start_with_biases_of_one_one_and_zero():
    named = started()
    for name in ("ic_encoder", "controller_encoder", "controller", "generator"):
        update, reset, candidate = named[f"{name}.bias"].chunk(3, -1)
        assert bool((update == 1).all())
        assert bool((reset == 1).all())
        assert bool((candidate == 0).all())


def test_update_gates_start_where_the_setting_says_and_nothing_else_moves():
    before, after = started(), started(settings=replace(SETTINGS, update_gate_bias=3.0))
    for name in ("ic_encoder", "controller_encoder", "controller", "generator"):
        update, *rest = after.pop(f"{name}.bias").chunk(3, -1)
        _, *expected = before.pop(f"{name}.bias").chunk(3, -1)
        assert bool((update == 3).all())
        assert torch.equal(torch.cat(rest), torch.cat(expected))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_an_untrained_cell_forgets_with_a_time_constant_of_one_and_exp_bias_bins(bias):
    gates, state = gate_biases(1, bias)[None, None].double(), torch.ones(1, 1, 1).double()
    kept = gru_cell(gates, state, torch.zeros(1, 1, 3).double(), clip=5.0)
    assert float(1.0 / (1.0 - kept)) == pytest.approx(1.0 + math.exp(bias))


def test_initial_states_and_other_biases_start_at_zero():
    named = started()
    for name in ("ic_encoder.initial_state", "controller_encoder.initial_state",
                 "controller.initial_state", "controller.output_bias", "initial_condition.bias",
                 "generator_start.bias"):  # fmt: skip
        assert not named[name].any(), name


def test_the_readout_bias_starts_at_the_training_mean_through_the_link():
    mean = torch.tensor([0.25, 3.0, 0.0, 0.001], dtype=torch.float64)
    n_entries = torch.tensor([400.0, 100.0, 200.0, 4000.0], dtype=torch.float64)
    bias = Poisson().initial_bias(UnitMoments(mean, mean, n_entries))
    expected = [math.log(0.25), math.log(3.0), math.log(0.5 / 200.0), math.log(0.001)]
    assert bias[0].tolist() == pytest.approx(expected, rel=1e-12)
    named = started()
    assert torch.equal(named["readout.session.bias"][1], torch.linspace(-3, 1, N_UNITS))


def test_a_unit_without_any_entry_still_has_a_finite_start():
    zero = torch.zeros(1, dtype=torch.float64)
    assert bool(Poisson().initial_bias(UnitMoments(zero, zero, zero)).isfinite().all())


def test_members_differ_and_one_member_has_the_same_numbers_in_any_population():
    alone, together = started(1), started(3)
    for name in FAN_IN:
        assert torch.equal(alone[name][0], together[name][0])
        assert not torch.equal(together[name][0], together[name][1])


def test_views_share_the_buffer_and_follow_the_order_of_the_specs():
    layout = Layout((WeightSpec("a", (2, 3)), WeightSpec("b", ()), WeightSpec("c", (0, 4)),
                     WeightSpec("d", (5,))))  # fmt: skip
    flat = torch.arange(2 * layout.n, dtype=torch.float64).reshape(2, -1)
    views = layout.views(flat)
    assert layout.n == 12
    assert views["a"].shape == (2, 2, 3)
    assert views["b"].tolist() == [6.0, 18.0]
    assert views["c"].shape == (2, 0, 4)
    views["d"][1, 4] = -1.0
    assert flat[1, 11] == -1.0


def test_rows_of_the_factor_matrix_have_unit_length_when_used():
    matrix = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = torch.linalg.vector_norm(unit_rows(matrix), dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert not unit_rows(torch.zeros(1, 2, 3)).any()


def test_the_length_of_a_row_changes_no_output():
    tiny = Tiny()
    task = tiny.task()
    from lfads_torch.training.score import validation_reconstruction

    state = tiny.state(task)
    before = validation_reconstruction(state, task, (tiny.trials(),), seed=1)
    task.layout.views(state.weights)["factors.weight"].mul_(
        torch.tensor([0.1, 3.0, 20.0], dtype=torch.float64)[:, None]
    )
    after = validation_reconstruction(state, task, (tiny.trials(),), seed=1)
    torch.testing.assert_close(after, before, rtol=1e-12, atol=0.0)


def test_without_inferred_inputs_there_is_no_controller():
    tiny = Tiny(model={"n_inferred_inputs": 0})
    names = {spec.name for spec in tiny.task().layout.specs}
    assert not any(name.startswith(("controller", "input_prior")) for name in names)
