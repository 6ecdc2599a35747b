"""What every augmentation must do."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lfads_torch.loss.settings import LossSettings
from lfads_torch.testing.drawn import member_values, require
from lfads_torch.training.augment import Augmentation, SessionBatch
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.settings import AugmentationSettings, TrainingSettings
from lfads_torch.training.streams import Streams

__all__ = ["AugmentationContract"]

_N_ENCODED, _FIRST = 7, 2  # of 9 bins


class AugmentationContract:
    """Derive `class TestMyAugmentation(AugmentationContract)` and write `augmentation`."""

    settings = AugmentationSettings(
        coordinated_dropout_rate=0.4,
        coordinated_dropout_pass_rate=0.2,
        spike_jitter_rate=0.5,
        temporal_shift_rate=0.5,
        sample_validation_rate=0.2,
    )

    def augmentation(self) -> Augmentation:
        raise NotImplementedError("give the augmentation; the first generated bin is bin 2")

    def rates(self, n_members: int) -> Hyperparameters:
        rates = Hyperparameters.repeated(
            LossSettings(), self.settings, TrainingSettings(),
            n_members=n_members, device=torch.device("cpu"), dtype=torch.float64,
        )  # fmt: skip
        return replace(rates, own=member_values(self.augmentation(), n_members))

    def batch(self, n_members: int, *, has_missing: bool) -> SessionBatch:
        """4 trials, 9 bins of which 7 are encoded, 5 units of which 3 are."""
        random = torch.Generator().manual_seed(0)
        counts = torch.poisson(torch.full((4, 9, 5), 1.3, dtype=torch.float64), random)
        external = torch.randn(4, 9, 2, generator=random, dtype=torch.float64)
        present = None
        if has_missing:
            present = torch.rand(4, 9, 5, generator=random) > 0.2
            counts = torch.where(present, counts, 0.0)
            present = present.expand(n_members, -1, -1, -1).clone()
        return SessionBatch(
            counts=counts.expand(n_members, -1, -1, -1).clone(),
            constant=torch.zeros(n_members, 4, dtype=torch.float64),
            is_encoded_unit=torch.tensor([True, False, True, True, False]),
            n_encoded_bins=_N_ENCODED,
            first_bin=_FIRST,
            present=present,
            external_inputs=external.expand(n_members, -1, -1, -1).clone(),
        )

    def run(
        self,
        batch: SessionBatch,
        members: tuple[int, ...],
        *,
        step: int = 3,
        rates: Hyperparameters | None = None,
    ) -> SessionBatch:
        rates = self.rates(len(members)) if rates is None else rates
        ids = torch.tensor(members)
        rows = torch.arange(4).expand(len(members), -1)
        noise = StreamNoise(Streams(1, ids), "train", step, rows, torch.float64)
        return self.augmentation()(batch, noise, rates, site="session")

    def test_shapes_stay(self) -> None:
        for has_missing in (False, True):
            before = self.batch(3, has_missing=has_missing)
            after = self.run(before, (0, 1, 2))
            require(after.counts.shape == before.counts.shape, "the shape of the counts")
            require(after.encoded.shape == (3, 4, _N_ENCODED, 5), "what the encoder gets")
            require(after.target.shape == (3, 4, 9 - _FIRST, 5), "what is to be explained")
            if after.has_gradient is not None:
                require(after.has_gradient.shape == after.target.shape, "a mask for the target")

    def test_a_population_is_its_members_side_by_side(self) -> None:
        together, rates = self.run(self.batch(3, has_missing=True), (5, 0, 2)), self.rates(3)
        for p, member in enumerate((5, 0, 2)):
            own = rates.take(torch.tensor([p]))
            alone = self.run(self.batch(1, has_missing=True), (member,), rates=own)
            for name in ("counts", "encoded", "has_gradient", "external_inputs"):
                whole, part = getattr(together, name), getattr(alone, name)
                require((whole is None) == (part is None), f"{name}: alike alone and together")
                if whole is not None:
                    torch.testing.assert_close(whole[p : p + 1], part)

    def test_what_was_given_is_not_changed(self) -> None:
        given = self.batch(2, has_missing=True)
        kept = self.batch(2, has_missing=True)
        self.run(given, (0, 1))
        for name in ("counts", "present", "external_inputs"):
            require(torch.equal(getattr(given, name), getattr(kept, name)), f"{name} stays")

    def test_the_same_step_gives_the_same_batch_and_another_one_may_not(self) -> None:
        first, second = (self.run(self.batch(2, has_missing=False), (0, 1)) for _ in range(2))
        require(torch.equal(first.counts, second.counts), "randomness from `noise` alone")
        require(torch.equal(first.encoded, second.encoded), "randomness from `noise` alone")

    def test_missing_entries_stay_without_counts(self) -> None:
        after = self.run(self.batch(3, has_missing=True), (0, 1, 2))
        assert after.present is not None  # the batch has missing entries
        require(bool((after.counts[~after.present] == 0).all()), "0 where nothing was recorded")

    def test_a_constant_belongs_to_the_counts(self) -> None:
        before = self.batch(3, has_missing=False)
        after = self.run(before, (0, 1, 2))
        is_same = torch.equal(after.counts, before.counts)
        require(is_same or after.constant is None, "constant=None where counts have changed")

    def test_it_says_whether_it_does_anything(self) -> None:
        rates = self.rates(3)
        off = {name: torch.zeros_like(value) for name, value in rates.as_dict().items()}
        for each in (rates, Hyperparameters.of(off)):
            require(isinstance(self.augmentation().is_active(each), bool), "True or False")

    def test_it_follows_another_one(self) -> None:
        batch = self.batch(2, has_missing=True)
        visible: Tensor = torch.ones(2, 4, _N_ENCODED, 5, dtype=torch.float64)
        visible[:, :, 3] = 0.0
        has_gradient = torch.ones(2, 4, 9 - _FIRST, 5, dtype=torch.bool)
        has_gradient[:, 1] = False
        after = self.run(replace(batch, visible=visible, has_gradient=has_gradient), (0, 1))
        assert after.has_gradient is not None
        assert after.visible is not None
        require(bool((after.visible[:, :, 3] == 0).all()), "what is hidden stays hidden")
        require(not bool(after.has_gradient[:, 1].any()), "no gradient where there was none")
