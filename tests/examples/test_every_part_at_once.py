"""A user's own file with a part of every kind and own settings: one search with all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import SYSTEM, TINY, options

from lfads_torch.cli.app import run

MODULE = '''
"""Parts of a laboratory's own."""

from dataclasses import dataclass, replace

import torch

from lfads_torch.data.formats.ours import OurFormat
from lfads_torch.declare import PluginSettings, setting
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.priors.normal import NormalPrior
from lfads_torch.model.read_outs.base import ReadOut
from lfads_torch.search.perturb import LogSymmetric
from lfads_torch.search.select import Tournament
from lfads_torch.training.augment import Augmentation


@dataclass(frozen=True, kw_only=True)
class LabSettings(PluginSettings):
    section = "lab"
    hidden: int = setting(4, "hidden units of the read-out", at_least=1)
    offset: float = setting(0.0, "added to log rates")
    shown: float = setting(0.9, "share of the bins that the encoder sees", above=0.0, at_most=1.0)


class TwoLayers(ReadOut):
    settings_type = LabSettings

    def __init__(self, hidden):
        self.hidden = hidden

    @classmethod
    def from_settings(cls, settings):
        return cls(settings.own.of(LabSettings).hidden)

    def specs(self, n_factors, bias):
        return [
            WeightSpec("first", (n_factors, self.hidden), fan_in=n_factors),
            WeightSpec("second", (self.hidden, len(bias)), fan_in=self.hidden),
            WeightSpec("bias", (len(bias),), constant=bias),
        ]

    def parameters(self, factors, weights):
        shape = (len(factors), *(1,) * (factors.ndim - 3))
        first, second = (
            weights[name].view(*shape, *weights[name].shape[1:]) for name in ("first", "second")
        )
        bias = weights["bias"].view(len(factors), *(1,) * (factors.ndim - 2), -1)
        return torch.tanh(factors @ first) @ second + bias


class OffsetPoisson(Poisson):
    name = "offset_poisson"
    settings_type = LabSettings

    def __init__(self, offset=0.0):
        self.offset = offset

    @classmethod
    def from_settings(cls, settings):
        return cls(settings.own.of(LabSettings).offset)

    def negative_log_likelihood(self, parameters, counts):
        return super().negative_log_likelihood(parameters + self.offset, counts)

    def mean(self, parameters):
        return super().mean(parameters + self.offset)


class LabPrior(NormalPrior):
    settings_type = LabSettings


class HideBins(Augmentation):
    settings_type = LabSettings

    def __init__(self, shown):
        self.shown = shown

    @classmethod
    def from_settings(cls, settings, first_bin):
        return cls(settings.own.of(LabSettings).shown)

    def __call__(self, batch, noise, rates, *, site):
        hidden = torch.full_like(rates.dropout_rate, 1.0 - self.shown)
        kept = noise.keep(f"hide_bins.{site}", hidden, batch.n_encoded_bins, 1)
        visible = kept.to(batch.counts.dtype).expand(-1, -1, -1, batch.counts.shape[3])
        if batch.visible is not None:
            visible = visible * batch.visible
        return replace(batch, visible=visible)


class LabRule(Tournament):
    settings_type = LabSettings


class LabPerturbation(LogSymmetric):
    pass


class LabReader(OurFormat):
    name = "lab"
'''
PARTS = {
    "model.generator": "lfads_torch.model.cells.gru:GRUGenerator",
    "model.ic_encoder": "lfads_torch.model.encoders.gru:GRUEncoder",
    "model.read_out": "lab_parts:TwoLayers",
    "model.initial_condition_prior": "lab_parts:LabPrior",
    "model.input_prior": "lab_parts:LabPrior",
    "loss.observation": "lab_parts:OffsetPoisson",
    "augmentation.order": "'lab_parts:HideBins, coordinated_dropout'",
    "search.selection": "lab_parts:LabRule",
    "search.perturbation": "lab_parts:LabPerturbation",
    "search.population": 3,
    "search.generations": 2,
    "search.generation_epochs": 1,
    "lab.hidden": 3,
    "lab.offset": 0.1,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "lab_parts.py").write_text(MODULE)
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *_, **__: "<html>")
    yield tmp_path
    sys.modules.pop("lab_parts", None)


@pytest.mark.slow
def test_a_search_and_an_inference_with_a_part_of_every_kind(folder: Path) -> None:
    recording, out = folder / "tiny.h5", folder / "run"
    own = ("--plugin-path", str(folder))
    assert run(["synth", "lorenz", "--out", str(recording), *options(SYSTEM)]) == 0
    chosen = options({**TINY, **PARTS})
    reader = ("--reader", "lab_parts:LabReader")
    assert run(["search", str(recording), "--out", str(out), *own, *reader, *chosen]) == 0
    stored = yaml.safe_load((out / "settings.yaml").read_text())
    assert stored["lab"] == {"hidden": 3, "offset": 0.1, "shown": 0.9}
    rates = folder / "again.nc"
    assert run(["infer", str(out), str(recording), "--out", str(rates), *own]) == 0
