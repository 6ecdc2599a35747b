"""What ships with lfads-torch keeps the contracts, by the classes that plug-ins are tested with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from member_parts import Fade, FadeSettings, LeakyCell, WidePrior
from scipy.io import savemat
from torch import Tensor

from lfads_torch.data.formats.base import Reader
from lfads_torch.data.formats.mat_file import MatFile
from lfads_torch.data.recording import Recording
from lfads_torch.loss.observations.base import Observation
from lfads_torch.loss.observations.choose import OBSERVATIONS, choose_observation
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.cells.gru import GRUGenerator
from lfads_torch.model.encoders.base import Encoder
from lfads_torch.model.encoders.gru import GRUEncoder
from lfads_torch.model.priors.base import Prior, PriorSetup
from lfads_torch.model.priors.choose import PRIORS
from lfads_torch.model.read_outs.base import ReadOut
from lfads_torch.model.read_outs.linear import LinearReadOut
from lfads_torch.plugins import load_plugin
from lfads_torch.search.select import SELECTION_RULES, SelectionRule
from lfads_torch.search.settings import SearchSettings
from lfads_torch.testing.augmentation import AugmentationContract
from lfads_torch.testing.encoder import EncoderContract
from lfads_torch.testing.generator_cell import GeneratorCellContract
from lfads_torch.testing.observation import ObservationContract
from lfads_torch.testing.prior import PriorContract
from lfads_torch.testing.read_out import ReadOutContract
from lfads_torch.testing.reader import ReaderContract
from lfads_torch.testing.selection import SelectionContract
from lfads_torch.training.augment import Augmentation
from lfads_torch.training.augmentations import AUGMENTATIONS, ordered_augmentations


class TestGRUGenerator(GeneratorCellContract):
    def cell(self) -> GeneratorCell:
        return GRUGenerator()


class TestCellWithANumberOfEveryMembersOwn(GeneratorCellContract):
    def cell(self) -> GeneratorCell:
        return LeakyCell()


class TestAugmentationWithANumberOfEveryMembersOwn(AugmentationContract):
    def augmentation(self) -> Augmentation:
        return Fade(FadeSettings())


class TestPriorWithANumberOfEveryMembersOwn(PriorContract):
    latents = (False,)

    def prior(self, setup: PriorSetup) -> Prior:
        return WidePrior.from_setup(setup)


class TestGRUEncoder(EncoderContract):
    def encoder(self) -> Encoder:
        return GRUEncoder()


class TestLinearReadOut(ReadOutContract):
    def read_out(self) -> ReadOut:
        return LinearReadOut()


@pytest.mark.parametrize("name", OBSERVATIONS)
class TestObservations(ObservationContract):
    @pytest.fixture(autouse=True)
    def _of(self, name: str) -> None:
        self.name = name

    def family(self) -> Observation:
        return choose_observation(self.name)

    def data(self) -> Tensor:
        counts = super().data()
        if self.name == "bernoulli":
            return counts.clamp(max=1.0)
        if self.name == "gamma":
            return counts + 0.5
        return counts


@pytest.mark.parametrize("name", PRIORS)
class TestPriors(PriorContract):
    @pytest.fixture(autouse=True)
    def _of(self, name: str) -> None:
        self.name = name
        self.latents = (True,) if name == "autoregressive" else (True, False)

    def prior(self, setup: PriorSetup) -> Prior:
        return load_plugin(self.name, Prior, what="prior", ours=PRIORS).from_setup(setup)


@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestAugmentations(AugmentationContract):
    @pytest.fixture(autouse=True)
    def _of(self, name: str) -> None:
        self.name = name

    def augmentation(self) -> Augmentation:
        (found,) = ordered_augmentations(replace(self.settings, order=self.name), 2)
        return found


@pytest.mark.parametrize("name", SELECTION_RULES)
class TestSelectionRules(SelectionContract):
    @pytest.fixture(autouse=True)
    def _of(self, name: str) -> None:
        self.name = name

    def rule(self) -> SelectionRule:
        kind = load_plugin(self.name, SelectionRule, what="rule", ours=SELECTION_RULES)
        return kind.from_settings(SearchSettings())


class TestMatFile(ReaderContract):
    ending = ".mat"

    def reader(self) -> Reader:
        return MatFile()

    def write(self, path: Path, recording: Recording) -> None:
        with path.open("wb") as file:
            savemat(file, {"counts": recording.counts})


def test_a_member_that_sees_another_is_found() -> None:
    class Leaking(GRUGenerator):
        def step(self, inputs, state, weights, *, clip):  # type: ignore[no-untyped-def]
            mixed = state + 0.1 * state.mean(0, keepdim=True)
            return super().step(inputs, mixed, weights, clip=clip)

    class Leaks(GeneratorCellContract):
        def cell(self) -> GeneratorCell:
            return Leaking()

    with pytest.raises(AssertionError):
        Leaks().test_a_population_is_its_members_side_by_side()


def test_an_encoder_that_sees_ahead_is_found() -> None:
    class Ahead(GRUEncoder):
        def encode(self, x, weights, *, is_inside):  # type: ignore[no-untyped-def]
            found = super().encode(x, weights, is_inside=is_inside)
            return replace(found, past=found.past + found.future)

    class Sees(EncoderContract):
        def encoder(self) -> Encoder:
            return Ahead()

    with pytest.raises(AssertionError):
        Sees().test_the_past_knows_no_later_bin_and_the_future_no_earlier_one()
    Sees().test_trials_do_not_see_each_other()


def test_a_likelihood_of_another_family_is_found() -> None:
    class Wrong(type(choose_observation("poisson"))):  # type: ignore[misc]
        def negative_log_likelihood(self, parameters: Tensor, counts: Tensor) -> Tensor:
            return super().negative_log_likelihood(parameters + 0.3, counts)

    class Shifted(ObservationContract):
        def family(self) -> Observation:
            return Wrong()

    with pytest.raises(AssertionError, match="the likelihood belongs to the draws"):
        Shifted().test_the_truth_is_likelier_than_its_neighbours()
    assert torch.is_tensor(Shifted().data())
