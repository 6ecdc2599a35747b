"""The worked examples keep the contracts of what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfads_torch.config.read import read_settings
from lfads_torch.errors import SettingsError
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.encoders.base import Encoder
from lfads_torch.model.parts import choose_parts
from lfads_torch.testing.encoder import EncoderContract
from lfads_torch.testing.generator_cell import GeneratorCellContract

CELL = "model.generator=low_rank_generator:LowRankGenerator"
ENCODER = "model.ic_encoder=transformer_encoder:TransformerEncoder"


class TestLowRankGenerator(GeneratorCellContract):
    @pytest.fixture(autouse=True)
    def _import(self, examples: Path) -> None:
        pass

    def cell(self) -> GeneratorCell:
        settings = read_settings(overrides=(CELL, "low_rank.rank=2"))
        cell = choose_parts(settings.model).generator
        assert cell is not None
        return cell


class TestTransformerEncoder(EncoderContract):
    @pytest.fixture(autouse=True)
    def _import(self, examples: Path) -> None:
        pass

    def encoder(self) -> Encoder:
        settings = read_settings(overrides=(ENCODER, f"model.ic_encoder_size={self.size}"))
        encoder = choose_parts(settings.model).ic_encoder
        assert encoder is not None
        return encoder


def test_heads_that_do_not_divide_the_size_are_told(examples: Path) -> None:
    settings = read_settings(overrides=(ENCODER, "transformer.n_heads=3"))
    with pytest.raises(SettingsError, match=r"n_heads is 3, which does not divide .* size, 10"):
        choose_parts(replace(settings.model, ic_encoder_size=10))


def test_own_settings_are_checked(examples: Path) -> None:
    with pytest.raises(SettingsError, match=r"low_rank.rank .* is 0; needed is a whole number"):
        read_settings(overrides=(CELL, "low_rank.rank=0"))
    with pytest.raises(SettingsError, match=r"no setting; did you mean low_rank.rank\?"):
        read_settings(overrides=(CELL, "low_rank.rnk=2"))
