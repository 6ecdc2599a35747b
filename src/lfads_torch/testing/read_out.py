"""What every read-out must do."""

from __future__ import annotations

import torch
from torch import Tensor

from lfads_torch.model.read_outs.base import ReadOut
from lfads_torch.testing.drawn import (
    SIZES,
    devices,
    drawn,
    drawn_weights,
    member_values,
    members_of,
    require,
)

__all__ = ["ReadOutContract"]


class ReadOutContract:
    """Derive `class TestMyReadOut(ReadOutContract)` and write `read_out`."""

    n_factors = 3
    n_outputs = 6  # parameters of all units

    def read_out(self) -> ReadOut:
        raise NotImplementedError("give the read-out that is to be tested")

    def case(
        self, n_members: int, n_trials: int, n_bins: int, dtype: torch.dtype = torch.float64
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Weights and factors [P, T, B, F]."""
        read_out = self.read_out()
        specs = read_out.specs(self.n_factors, drawn("bias", self.n_outputs))
        weights = drawn_weights(specs, n_members, dtype=dtype)
        weights |= member_values(read_out, n_members, dtype=dtype)
        return weights, drawn("f", n_members, n_bins, n_trials, self.n_factors, dtype=dtype)

    def test_shapes_and_types(self) -> None:
        for dtype in (torch.float32, torch.float64):
            for sizes in SIZES:
                weights, factors = self.case(*sizes, dtype)
                found = self.read_out().parameters(factors, weights)
                require(found.shape == (*factors.shape[:3], self.n_outputs), "a number for each")
                require(found.dtype == dtype, f"numbers of the type of the factors, {dtype}")

    def test_axes_between_are_free(self) -> None:
        weights, factors = self.case(2, 3, 5)
        flat = self.read_out().parameters(factors.flatten(1, 2), weights)
        torch.testing.assert_close(flat, self.read_out().parameters(factors, weights).flatten(1, 2))

    def test_it_runs_where_its_weights_are(self) -> None:
        for device in devices():
            weights, factors = self.case(2, 3, 4, torch.float32)
            there = {name: value.to(device) for name, value in weights.items()}
            found = self.read_out().parameters(factors.to(device), there)
            require(found.device.type == device.type, f"parameters on {device}")
            expected = self.read_out().parameters(factors, weights)
            torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)

    def test_a_population_is_its_members_side_by_side(self) -> None:
        weights, factors = self.case(3, 5, 2)
        together = self.read_out().parameters(factors, weights)
        for p in range(3):
            alone = self.read_out().parameters(factors[p : p + 1], members_of(weights, p))
            torch.testing.assert_close(together[p : p + 1], alone)

    def test_bins_and_trials_do_not_see_each_other(self) -> None:
        weights, factors = self.case(2, 5, 4)
        some = self.read_out().parameters(factors[:, [2, 0]][:, :, [3, 1]], weights)
        whole = self.read_out().parameters(factors, weights)
        torch.testing.assert_close(whole[:, [2, 0]][:, :, [3, 1]], some)

    def test_gradients_are_those_of_small_differences(self) -> None:
        weights, factors = self.case(2, 2, 2)
        names = list(weights)

        def of(given: Tensor, *tensors: Tensor) -> Tensor:
            return self.read_out().parameters(given, dict(zip(names, tensors, strict=True)))

        leaves = [each.requires_grad_() for each in (factors, *weights.values())]
        require(torch.autograd.gradcheck(of, leaves, fast_mode=True), "gradients")

    def test_the_start_does_not_depend_on_other_units(self) -> None:
        bias = drawn("bias", self.n_outputs)
        names = [spec.name for spec in self.read_out().specs(self.n_factors, bias)]
        require(len(names) == len(set(names)) > 0, "every weight has a name of its own")
