"""What every observation family must do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.testing.drawn import devices, drawn, require

__all__ = ["ObservationContract"]


class ObservationContract:
    """Derive `class TestMyFamily(ObservationContract)` and write `family`."""

    n_units = 3
    spread = 0.3  # of parameters around the start that the data of unit mean 1 give

    def family(self) -> Observation:
        raise NotImplementedError("give the family that is to be tested")

    def data(self) -> Tensor:
        """Values [trial, unit] in the support, from which moments are taken."""
        return torch.as_tensor(
            np.random.default_rng(0).poisson(1.3, (400, self.n_units)), dtype=torch.float64
        )

    def moments(self) -> UnitMoments:
        values = self.data()
        n = torch.full((self.n_units,), float(len(values)), dtype=torch.float64)
        zeros = (values == 0).to(values.dtype).mean(0)
        return UnitMoments(values.mean(0), values.var(0, unbiased=False), n, zeros)

    def case(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Parameters [*shape, K, N] near the start, and counts [*shape, N] drawn from them."""
        family = self.family()
        start = family.initial_bias(self.moments()).double()
        parameters = start + self.spread * drawn("p", *shape, family.n_parameters, self.n_units)
        return parameters, family.sample(parameters, np.random.default_rng(1))

    def test_shapes(self) -> None:
        for shape in ((1,), (2, 5), (1, 3, 33), (2, 3, 1, 4)):
            parameters, counts = self.case(*shape)
            family = self.family()
            for value in (
                family.negative_log_likelihood(parameters, counts),
                family.constant(counts),
                family.mean(parameters),
                counts,
            ):
                require(value.shape == (*shape, self.n_units), "a number per bin and unit")
                require(bool(value.isfinite().all()), "finite numbers")

    def test_it_runs_where_its_parameters_are(self) -> None:
        parameters, counts = self.case(2, 5)
        expected = self.family().negative_log_likelihood(parameters, counts)
        for device in devices():
            there, given = parameters.to(device), counts.to(device)
            found = self.family().negative_log_likelihood(there, given)
            require(found.device.type == device.type, f"numbers on {device}")
            torch.testing.assert_close(found.cpu(), expected)

    def test_the_start_has_the_mean_of_the_data(self) -> None:
        moments, family = self.moments(), self.family()
        start = family.initial_bias(moments)
        require(start.shape == (family.n_parameters, self.n_units), "a start [K, N]")
        torch.testing.assert_close(
            family.mean(start.double()), moments.mean, rtol=0.02, atol=1e-3, check_dtype=False
        )

    def test_units_without_a_spike_start_at_a_finite_place(self) -> None:
        zero, n = torch.zeros(self.n_units).double(), torch.full((self.n_units,), 9.0).double()
        start = self.family().initial_bias(UnitMoments(zero, zero, n, torch.ones_like(zero)))
        require(bool(start.isfinite().all()), "finite parameters for silent units")

    def test_draws_have_the_mean(self) -> None:
        n = 20_000
        start, _ = self.case(1)
        wide = start.expand(n, -1, -1)
        drawn_values = self.family().sample(wide, np.random.default_rng(2))
        error = (drawn_values.mean(0) - self.family().mean(start)[0]).abs()
        bound = 6.0 * drawn_values.std(0) / n**0.5 + 1e-9
        require(bool((error <= bound).all()), "the mean of draws is `mean`, to 6 standard errors")

    def test_the_truth_is_likelier_than_its_neighbours(self) -> None:
        start, _ = self.case(1)
        family, wide = self.family(), start.expand(20_000, -1, -1)
        counts = family.sample(wide, np.random.default_rng(3))
        at_truth = family.negative_log_likelihood(wide, counts).mean(0)
        for step in (-0.4, 0.4):
            beside = wide.clone()
            beside[:, 0] += step
            there = family.negative_log_likelihood(beside, counts).mean(0)
            require(bool((there > at_truth).all()), "the likelihood belongs to the draws")

    def test_gradients_are_those_of_small_differences(self) -> None:
        parameters, counts = self.case(2, 3)

        def of(given: Tensor) -> Tensor:
            return self.family().negative_log_likelihood(given, counts)

        require(
            torch.autograd.gradcheck(of, [parameters.requires_grad_()], fast_mode=True), "gradients"
        )

    def test_missing_entries_do_no_harm(self) -> None:
        parameters, counts = self.case(2, 3)
        leaf = parameters.clone().requires_grad_()
        value = self.family().negative_log_likelihood(leaf, torch.zeros_like(counts))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        is_finite = value.isfinite().all() & gradient.isfinite().all()
        require(bool(is_finite), "finite value and gradient at a count of 0, in the support or not")
        constant = self.family().constant(torch.zeros_like(counts))
        require(bool(constant.isfinite().all()), "a finite constant there too")

    def test_entries_do_not_see_each_other(self) -> None:
        parameters, counts = self.case(3, 5)
        whole = self.family().negative_log_likelihood(parameters, counts)
        one = self.family().negative_log_likelihood(parameters[1:2, 3:4], counts[1:2, 3:4])
        torch.testing.assert_close(whole[1:2, 3:4], one)

    def test_draws_lie_in_the_support_and_missing_entries_too(self) -> None:
        _, counts = self.case(4, 6, 5)
        counts[0, 0, 0] = torch.nan
        for values in (counts, counts.float()):
            require(self.family().support_error(values) is None, "draws and NaN are inside")

    def test_numbers_of_single_precision_will_do(self) -> None:
        parameters, counts = self.case(3, 5)
        exact = self.family().negative_log_likelihood(parameters, counts)
        single = self.family().negative_log_likelihood(parameters.float(), counts.float())
        require(single.dtype == torch.float32, "numbers of the type of the parameters")
        torch.testing.assert_close(single.double(), exact, rtol=1e-3, atol=1e-3)

    def test_the_same_random_numbers_give_the_same_draws(self) -> None:
        first, second = self.case(3, 5)[1], self.case(3, 5)[1]
        require(torch.equal(first, second), "draws from the generator that is given, and no other")
