"""An error in somebody's own part is told as theirs, and the run says that it failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, options

MODULE = """
import torch

from lfads_torch.training.augment import Augmentation


class Boom(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        raise ValueError("boom")


class WrongShapes(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        return torch.ones(3) @ torch.ones(2)


class FewerArguments(Augmentation):
    def __call__(self, batch):
        return batch
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "faulty_lab.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("faulty_lab", None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Boom", "faulty_lab.py, line 9, in Boom.__call__) raised ValueError: boom."),
        ("WrongShapes", "faulty_lab.py, line 14, in WrongShapes.__call__) raised RuntimeError: "),
        ("FewerArguments", "faulty_lab.py) has another signature (TypeError: FewerArguments."),
    ],
)
def test_an_error_in_an_augmentation_of_ones_own(
    lfads: Lfads, made: Made, folder: Path, name: str, told: str
) -> None:
    out, path = folder / "run", f"--plugin-path={folder}"
    chosen = options({**TINY, "augmentation.order": f"faulty_lab:{name}"})
    done = lfads("fit", made.recording, "--out", out, path, *chosen)
    assert done.code == 1
    assert "the plug-in faulty_lab" in done.err
    assert told in done.err
    assert "lfads-torch failed unexpectedly" not in done.err
    assert str(out / "log.txt") in done.err
    assert "Traceback" in (out / "log.txt").read_text()

    standing = json.loads(lfads("status", out, "--json").out)
    assert standing["status"] == "failed"
    assert told.rstrip(".: ") in standing["reason"]
    (out / "metrics.jsonl").touch()
    again = lfads("fit", made.recording, "--out", out, path, *chosen)
    assert "holds a run already (status: failed, the plug-in faulty_lab" in again.err


NONSENSE = """
import torch
from dataclasses import replace

from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.encoders.base import Encoder, EncoderStates
from lfads_torch.model.read_outs.base import ReadOut
from lfads_torch.training.augment import Augmentation


class Nothing(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        return None


class Shorter(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        return replace(batch, counts=batch.counts[:, :, 1:])


class Cell(GeneratorCell):
    def specs(self, n_inputs, size):
        return []

    def recurrent_weights(self):
        return ()

    def step(self, inputs, state, weights, *, clip):
        return state[0]


class Reads(Encoder):
    def specs(self, n_inputs, size):
        return []

    def recurrent_weights(self):
        return ()

    def encode(self, x, weights, *, is_inside):
        states = x[..., :5]
        return EncoderStates(states[:, 0, :, :3], states, states)


class Flat(ReadOut):
    def specs(self, n_factors, bias):
        return []

    def parameters(self, factors, weights):
        return factors


class Unitless(Poisson):
    def negative_log_likelihood(self, parameters, counts):
        return super().negative_log_likelihood(parameters, counts).sum(-1)


class NoNumber(Poisson):
    def initial_bias(self, moments):
        return super().initial_bias(moments) * torch.nan


class Diverged(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        return replace(batch, counts=batch.counts * torch.nan)


class Late(Poisson):
    def mean(self, parameters):
        return super().mean(parameters)[..., :1]
"""


@pytest.mark.parametrize(
    ("setting", "name", "told"),
    [
        ("augmentation.order", "Nothing", "its __call__ gave back None; a lfads_torch.training"),
        ("augmentation.order", "Shorter", "its __call__ (counts of the batch) gave back Tensor ["),
        ("model.generator", "Cell", "its step gave back Tensor ["),
        ("model.ic_encoder", "Reads", "its encode (summary) gave back Tensor ["),
        ("model.read_out", "Flat", "its parameters gave back Tensor ["),
        ("loss.observation", "Unitless", "its negative_log_likelihood gave back Tensor ["),
        ("loss.observation", "NoNumber", " with NaN or infinity; finite numbers"),
        ("loss.observation", "Late", "its mean gave back Tensor ["),
        ("augmentation.order", "Diverged", "The run has the plug-in nonsense_lab:Diverged"),
    ],
)
def test_what_a_plugin_gives_back_is_held_against_its_contract(
    lfads: Lfads, made: Made, tmp_path: Path, setting: str, name: str, told: str
) -> None:
    (tmp_path / "nonsense_lab.py").write_text(NONSENSE)
    out, path = tmp_path / "run", f"--plugin-path={tmp_path}"
    chosen = options({**TINY, "training.epochs": 15, setting: f"nonsense_lab:{name}"})
    try:
        done = lfads("fit", made.recording, "--out", out, path, *chosen)
    finally:
        sys.modules.pop("nonsense_lab", None)
    assert done.code == 1
    assert f"nonsense_lab:{name}" in done.err
    assert told in done.err
    assert "lfads_torch.testing" in done.err
    assert "mistake in the program" not in done.err


def test_a_fault_of_ours_in_a_run_with_a_plugin_names_the_plugin(
    lfads: Lfads, made: Made, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise IndexError("7")

    monkeypatch.setattr("lfads_torch.workflows.assemble.assemble", fail)
    chosen = options({**TINY, "augmentation.order": "faulty_lab:Boom"})
    done = lfads("fit", made.recording, "--out", folder / "r", f"--plugin-path={folder}", *chosen)
    assert "an unexpected IndexError (7) in a run with the plug-in faulty_lab:Boom" in done.err
    assert "lfads_torch.testing" in done.err
