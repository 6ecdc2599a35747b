"""What every encoder must do."""

from __future__ import annotations

from dataclasses import astuple

import torch
from torch import Tensor

from lfads_torch.model.encoders.base import Encoder, EncoderStates
from lfads_torch.testing.drawn import (
    SIZES,
    devices,
    drawn,
    drawn_weights,
    member_values,
    members_of,
    require,
)

__all__ = ["EncoderContract"]


class EncoderContract:
    """Derive `class TestMyEncoder(EncoderContract)` and write `encoder`."""

    size = 4
    n_inputs = 3

    def encoder(self) -> Encoder:
        raise NotImplementedError("give the encoder that is to be tested, of size `self.size`")

    def case(
        self, n_members: int, n_trials: int, n_bins: int, dtype: torch.dtype = torch.float64
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Weights and bins [P, E, B, I]."""
        encoder = self.encoder()
        specs = encoder.specs(self.n_inputs, self.size)
        weights = drawn_weights(specs, n_members, dtype=dtype)
        weights |= member_values(encoder, n_members, dtype=dtype)
        return weights, drawn("x", n_members, n_bins, n_trials, self.n_inputs, dtype=dtype)

    def read(
        self, weights: dict[str, Tensor], x: Tensor, is_inside: Tensor | None = None
    ) -> EncoderStates:
        return self.encoder().encode(x, weights, is_inside=is_inside)

    def test_shapes_and_types(self) -> None:
        for dtype in (torch.float32, torch.float64):
            for n_members, n_trials, n_bins in SIZES:
                weights, x = self.case(n_members, n_trials, n_bins, dtype)
                found = self.read(weights, x)
                shape = (n_members, n_bins, n_trials, self.size)
                require(found.summary.shape == (n_members, n_trials, 2 * self.size), "[P, B, 2H]")
                require(found.past.shape == found.future.shape == shape, "states [P, E, B, H]")
                for part in (found.summary, found.past, found.future):
                    require(part.dtype == dtype, f"numbers of the type of the input, {dtype}")
                    require(bool(part.isfinite().all()), "finite numbers")

    def test_it_runs_where_its_weights_are(self) -> None:
        for device in devices():
            weights, x = self.case(2, 3, 4, torch.float32)
            there = {name: value.to(device) for name, value in weights.items()}
            is_inside = torch.ones(2, 4, 3, dtype=torch.bool, device=device)
            found, expected = self.read(there, x.to(device), is_inside), self.read(weights, x)
            require(found.past.device.type == device.type, f"states on {device}")
            torch.testing.assert_close(found.summary.cpu(), expected.summary, rtol=1e-3, atol=1e-3)

    def test_a_population_is_its_members_side_by_side(self) -> None:
        weights, x = self.case(3, 5, 7)
        together = self.read(weights, x)
        for p in range(3):
            alone = self.read(members_of(weights, p), x[p : p + 1])
            for whole, part in zip(astuple(together), astuple(alone), strict=True):
                torch.testing.assert_close(whole[p : p + 1], part)

    def test_trials_do_not_see_each_other(self) -> None:
        weights, x = self.case(2, 5, 7)
        whole, some = self.read(weights, x), self.read(weights, x[:, :, [3, 1]])
        torch.testing.assert_close(whole.summary[:, [3, 1]], some.summary)
        torch.testing.assert_close(whole.past[:, :, [3, 1]], some.past)
        torch.testing.assert_close(whole.future[:, :, [3, 1]], some.future)

    def test_the_past_knows_no_later_bin_and_the_future_no_earlier_one(self) -> None:
        weights, x = self.case(2, 3, 7)
        changed = x.clone()
        changed[:, 4] += 1.0
        before, after = self.read(weights, x), self.read(weights, changed)
        torch.testing.assert_close(after.past[:, :4], before.past[:, :4])
        torch.testing.assert_close(after.future[:, 5:], before.future[:, 5:])

    def test_the_whole_trial_is_read(self) -> None:
        weights, x = self.case(2, 3, 7)
        before = self.read(weights, x).summary
        for t in range(7):
            changed = x.clone()
            changed[:, t] += 1.0
            after = self.read(weights, changed).summary
            require(not torch.equal(after, before), f"the summary must depend on bin {t}")

    def test_a_shorter_trial_is_read_as_if_it_stood_alone(self) -> None:
        weights, x = self.case(2, 3, 7)
        is_inside = torch.ones(2, 7, 3, dtype=torch.bool)
        is_inside[:, 4:, 1] = False
        found, alone = self.read(weights, x, is_inside), self.read(weights, x[:, :4, 1:2])
        torch.testing.assert_close(found.summary[:, 1:2], alone.summary)
        torch.testing.assert_close(found.past[:, :4, 1:2], alone.past)
        torch.testing.assert_close(found.future[:, :4, 1:2], alone.future)
        whole = self.read(weights, x)
        torch.testing.assert_close(found.summary[:, [0, 2]], whole.summary[:, [0, 2]])
        for part in (found.summary, found.past, found.future):
            require(bool(part.isfinite().all()), "finite numbers, beyond the end too")

    def test_gradients_are_those_of_small_differences(self) -> None:
        weights, x = self.case(2, 1, 3)
        names = list(weights)

        def of(given: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            found = self.read(dict(zip(names, tensors, strict=True)), given)
            return found.summary, found.past, found.future

        leaves = [each.requires_grad_() for each in (x, *weights.values())]
        require(torch.autograd.gradcheck(of, leaves, fast_mode=True), "gradients")

    def test_the_same_numbers_give_the_same_states(self) -> None:
        weights, x = self.case(3, 5, 4)
        first, second = self.read(weights, x), self.read(weights, x)
        require(torch.equal(first.summary, second.summary), "no randomness, and nothing kept")

    def test_what_l2_weighs_is_there(self) -> None:
        encoder = self.encoder()
        known = {spec.name for spec in encoder.specs(self.n_inputs, self.size)}
        require(set(encoder.recurrent_weights()) <= known, f"names among {sorted(known)}")
