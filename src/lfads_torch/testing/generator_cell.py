"""What every generator cell must do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.testing.drawn import (
    SIZES,
    devices,
    drawn,
    drawn_weights,
    member_values,
    members_of,
    require,
)

__all__ = ["GeneratorCellContract"]


class GeneratorCellContract:
    """Derive `class TestMyCell(GeneratorCellContract)` and write `cell`."""

    size = 5  # of the generator
    n_inputs = 3

    def cell(self) -> GeneratorCell:
        raise NotImplementedError("give the cell that is to be tested")

    def run(self, weights: Mapping[str, Tensor], inputs: Tensor, state: Tensor) -> Tensor:
        """The states of all bins, [P, B, T, G], from inputs [P, B, T, I]."""
        cell = self.cell()
        ready = cell.prepared(weights)
        state, states = cell.start(state, ready), []
        for t in range(inputs.shape[2]):
            state = cell.step(inputs[:, :, t], state, ready, clip=2.0)
            states.append(state)
        return torch.stack(states, 2)

    def case(
        self,
        n_members: int,
        n_trials: int,
        n_bins: int,
        *,
        n_inputs: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Weights, inputs and first states."""
        n_inputs = self.n_inputs if n_inputs is None else n_inputs
        cell = self.cell()
        weights = drawn_weights(cell.specs(n_inputs, self.size), n_members, dtype=dtype)
        weights |= member_values(cell, n_members, dtype=dtype)
        inputs = drawn("inputs", n_members, n_trials, n_bins, n_inputs, dtype=dtype)
        return weights, inputs, drawn("state", n_members, n_trials, self.size, dtype=dtype)

    def test_states_have_the_shape_and_type_of_the_first(self) -> None:
        for dtype in (torch.float32, torch.float64):
            for sizes in SIZES:
                for n_inputs in (0, 1, self.n_inputs):
                    weights, inputs, state = self.case(*sizes, n_inputs=n_inputs, dtype=dtype)
                    states = self.run(weights, inputs, state)
                    require(states.shape == (*inputs.shape[:3], self.size), "a state per unit")
                    require(states.dtype == dtype, f"numbers of the type of the state, {dtype}")
                    require(bool(states.isfinite().all()), "finite states")

    def test_it_runs_where_its_weights_are(self) -> None:
        for device in devices():
            weights, inputs, state = self.case(2, 3, 4, dtype=torch.float32)
            there = {name: value.to(device) for name, value in weights.items()}
            states = self.run(there, inputs.to(device), state.to(device))
            require(states.device.type == device.type, f"states on {device}")
            expected = self.run(weights, inputs, state)
            torch.testing.assert_close(states.cpu(), expected, rtol=1e-3, atol=1e-3)

    def test_a_population_is_its_members_side_by_side(self) -> None:
        weights, inputs, state = self.case(3, 5, 4)
        together = self.run(weights, inputs, state)
        for p in range(3):
            alone = self.run(members_of(weights, p), inputs[p : p + 1], state[p : p + 1])
            torch.testing.assert_close(together[p : p + 1], alone)

    def test_trials_do_not_see_each_other(self) -> None:
        weights, inputs, state = self.case(2, 5, 4)
        some = self.run(weights, inputs[:, [3, 1]], state[:, [3, 1]])
        torch.testing.assert_close(self.run(weights, inputs, state)[:, [3, 1]], some)

    def test_states_stay_within_the_limit(self) -> None:
        weights, inputs, state = self.case(2, 3, 7)
        states = self.run(weights, 100.0 * inputs, state)
        require(bool((states.abs() <= 2.0).all()), "states within +-clip; clamp the new state")

    def test_gradients_are_those_of_small_differences(self) -> None:
        weights, inputs, state = self.case(2, 1, 2)
        names = list(weights)

        def of(*tensors: Tensor) -> Tensor:
            given = dict(zip(names, tensors[2:], strict=True))
            return self.run(given, 0.3 * tensors[0], 0.1 * tensors[1])

        leaves = [each.requires_grad_() for each in (inputs, state, *weights.values())]
        require(torch.autograd.gradcheck(of, leaves, fast_mode=True), "gradients")

    def test_the_same_numbers_give_the_same_states(self) -> None:
        weights, inputs, state = self.case(3, 5, 4)
        first, second = (self.run(weights, inputs, state) for _ in range(2))
        require(torch.equal(first, second), "no randomness, and nothing kept between calls")

    def test_what_l2_weighs_is_there(self) -> None:
        cell = self.cell()
        known = {spec.name for spec in cell.specs(self.n_inputs, self.size)}
        require(set(cell.recurrent_weights()) <= known, f"names among {sorted(known)}")
