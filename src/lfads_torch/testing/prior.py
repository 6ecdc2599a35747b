"""What every prior must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from lfads_torch.model.priors.base import Posterior, Prior, PriorSetup
from lfads_torch.model.settings import ModelSettings
from lfads_torch.testing.drawn import (
    drawn,
    drawn_weights,
    member_values,
    members_of,
    require,
)

__all__ = ["PriorContract"]


class PriorContract:
    """Derive `class TestMyPrior(PriorContract)` and write `prior`.

    `latents` says of which latents it can be a prior: True of inferred inputs, False of the
    initial condition.
    """

    latents: ClassVar[tuple[bool, ...]] = (True, False)
    settings = ModelSettings()

    def prior(self, setup: PriorSetup) -> Prior:
        raise NotImplementedError("give `MyPrior.from_setup(setup)`")

    def cases(self, n_members: int) -> list[tuple[PriorSetup, dict[str, Tensor], Posterior]]:
        """For each latent: its setup, weights of the members, and a posterior of 3 dimensions."""
        found = []
        for is_of_inputs in self.latents:
            setup = PriorSetup(self.settings, bin_width_s=0.01, is_of_inputs=is_of_inputs)
            prior = self.prior(setup)
            weights = drawn_weights(prior.specs(3), n_members) | member_values(prior, n_members)
            shape = (n_members, 7, 5, 3) if is_of_inputs else (n_members, 5, 3)
            mean, deviation = 0.5 * drawn("mean", *shape), (0.3 * drawn("std", *shape)).exp()
            sample = mean + deviation * drawn("sample", *shape)
            found.append((setup, weights, Posterior(mean, deviation.square(), sample)))
        return found

    def divergence(
        self, setup: PriorSetup, weights: Mapping[str, Tensor], posterior: Posterior
    ) -> Tensor:
        return self.prior(setup).divergence(posterior, weights)

    def test_a_number_for_every_trial(self) -> None:
        for setup, weights, posterior in self.cases(2):
            terms = self.prior(setup).terms(posterior, weights)
            require(terms.shape == posterior.mean.shape, "a term for every bin and dimension")
            found = self.divergence(setup, weights, posterior)
            require(found.shape == (2, 5), "the divergence [P, B]")
            require(bool(found.isfinite().all()), "finite numbers")

    def test_its_weights_carry_the_latents_name(self) -> None:
        for setup, _, _ in self.cases(1):
            names = [spec.name for spec in self.prior(setup).specs(3)]
            wrong = [name for name in names if not name.startswith(f"{setup.name}.")]
            require(not wrong, f"names that begin with {setup.name}. ({', '.join(wrong)})")

    def test_a_population_is_its_members_side_by_side(self) -> None:
        for setup, weights, posterior in self.cases(3):
            together = self.divergence(setup, weights, posterior)
            for p in range(3):
                own = slice(p, p + 1)
                alone = Posterior(posterior.mean[own], posterior.variance[own],
                                  posterior.sample[own])  # fmt: skip
                found = self.divergence(setup, members_of(weights, p), alone)
                torch.testing.assert_close(found, together[own])

    def test_gradients_are_those_of_small_differences(self) -> None:
        for setup, weights, posterior in self.cases(2):
            names = list(weights)

            def of(
                mean: Tensor,
                variance: Tensor,
                sample: Tensor,
                *tensors: Tensor,
                setup: PriorSetup = setup,
                names: list[str] = names,
            ) -> Tensor:
                named = dict(zip(names, tensors, strict=True))
                return self.divergence(setup, named, Posterior(mean, variance, sample))

            given = (posterior.mean, posterior.variance, posterior.sample, *weights.values())
            leaves = [each[..., :2, :].clone() if each.ndim > 2 else each for each in given]
            leaves = [each.requires_grad_() for each in leaves]
            require(torch.autograd.gradcheck(of, leaves, fast_mode=True), "gradients")

    def test_the_divergence_of_any_posterior_is_positive_on_average(self) -> None:
        for setup, weights, posterior in self.cases(2):
            copies = 2000
            wide = [
                each[:, ..., :1, :].expand(*each.shape[:-2], copies, -1)
                for each in (posterior.mean, posterior.variance)
            ]
            sample = wide[0] + wide[1].sqrt() * drawn("many", *wide[0].shape)
            found = self.divergence(setup, weights, Posterior(wide[0], wide[1], sample))
            error = found.std(1) / copies**0.5
            require(bool((found.mean(1) > -4.0 * error).all()), "a divergence of at least 0")

    def test_bins_beyond_a_trials_end_count_nothing(self) -> None:
        for setup, weights, posterior in self.cases(2):
            if not setup.is_of_inputs:
                continue
            is_counted = torch.ones(2, 7, 5, dtype=torch.bool)
            is_counted[:, 4:, 1] = False
            short = Posterior(posterior.mean, posterior.variance, posterior.sample, is_counted)
            alone = Posterior(*(each[:, :4, 1:2] for each in (
                posterior.mean, posterior.variance, posterior.sample)))  # fmt: skip
            torch.testing.assert_close(
                self.divergence(setup, weights, short)[:, 1:2],
                self.divergence(setup, weights, alone),
            )

    def test_the_variance_is_positive(self) -> None:
        for setup, weights, _ in self.cases(2):
            variance = self.prior(setup).variance(weights)
            require(variance.shape == (2, 3), "a variance for every dimension [P, D]")
            require(bool((variance > 0).all()), "above 0")
