"""A whole epoch against one of the eager stand-in: steps, validation, metrics, checkpoint.

    python benchmarks/whole_epoch.py [--data ../shared/data] [--rounds 5] [--threads 1]
        [--precision float32] [--although-loaded]

Ours is a real fit of the preset `maze_peer` on the maze recording (one model, split as the peer
does), with `training.checkpoint_interval_s=0`: an epoch lasts from one report to the next, with its
training steps, validation pass, score, line of metrics and checkpoint. The stand-in
(`eager_step.py`) works as lfads-torch does: steps over as many batches of as many trials with
metrics in each, a validation pass with metrics, a line of metrics, and a checkpoint of model and
optimiser by `torch.save` in every epoch; Lightning itself, which adds to that, is left out. The two
take turns epoch by epoch in one process; the first epoch of each only warms up. Processor time on
one thread, time of the clock on more.

Nothing is timed before the gradients of both agree with those of the reference in float64.
Beside other work on the machine nothing is timed, unless it is allowed; then the result tells it.
Writes results/whole_epoch.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from kernel_steps import checked, first_gradient, processor
from other_work import OtherWork, add_option, require_quiet
from population_cost import recording_of
from step_shapes import Shape
from step_variants import eager_model
from torch import Tensor
from tree import sources

from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording
from lfads_torch.outputs.run_record import library_versions, now_text
from lfads_torch.search.history import GenerationReport
from lfads_torch.training.loop import EpochReport
from lfads_torch.workflows.fit import fit_run

RESULTS = Path(__file__).parent / "results" / "whole_epoch.json"
BATCH_SIZE = 64
BF16_TOLERANCE = 1e-2  # of the gradient's norm


def settings_of_ours(threads: int, precision: str) -> Settings:
    values = {
        "training.patience": 0,
        "training.batch_size": BATCH_SIZE,
        "training.checkpoint_interval_s": 0,
        "run.threads": threads,
        "run.precision": precision,
        "run.device": "cpu",
    }
    return read_settings(
        None, "maze_peer", tuple(f"{name}={value}" for name, value in values.items())
    )


def shape_of(recording: Recording, settings: Settings) -> Shape:
    """One batch of the fit."""
    model, split = settings.model, recording.split
    n_train = len(split.trials("train"))
    return Shape(
        trials=-(-n_train // n_batches(n_train)),
        encoded_bins=split.n_encoded_bins,
        bins=recording.n_bins,
        encoded_units=int(split.is_encoded.sum()),
        units=recording.n_units,
        encoder=model.ic_encoder_size,
        controller_encoder=model.controller_encoder_size,
        controller=model.controller_size,
        generator=model.generator_size,
        factors=model.n_factors,
        initial_condition=model.initial_condition_size,
        inferred=model.n_inferred_inputs,
        spikes_per_entry=float(recording.counts.mean()),
    )


def n_batches(n_trials: int) -> int:
    return -(-n_trials // BATCH_SIZE)


class EagerEpochs:
    """Epochs of the stand-in in a folder of its own."""

    def __init__(self, recording: Recording, shape: Shape, folder: Path) -> None:
        split = recording.split
        # The stand-in encodes the first units.
        order = np.argsort(~split.is_encoded, kind="stable")
        counts = torch.as_tensor(recording.counts[:, :, order], dtype=torch.float32)
        self._train, self._valid = (counts[split.trials(name)] for name in ("train", "valid"))
        self._model, self._folder = eager_model(shape), folder

    def epoch(self) -> None:
        batches = torch.randperm(len(self._train)).tensor_split(n_batches(len(self._train)))
        losses = [self._model.step(self._train[batch]) for batch in batches]
        training = self._model.settings
        self._model.settings = replace(training, dropout_rate=0.0, hidden_rate=0.0)
        with torch.no_grad():
            score = self._model.loss(self._valid)
        self._model.settings = training
        self._store(torch.stack(losses).mean(), score)

    def _store(self, loss: Tensor, score: Tensor) -> None:
        row = {"loss": float(loss), "valid": float(score)}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        model = self._model
        torch.save(
            {"model": model.leaves, "optimiser": model.optimiser.state_dict()},
            self._folder / "last.ckpt",
        )


class Turns:
    """Watches our fit: after each of its epochs the stand-in has one."""

    def __init__(self, eager: EagerEpochs, rounds: int, threads: int) -> None:
        self._eager, self._rounds, self._threads = eager, rounds, threads
        self._now = time.process_time if threads == 1 else time.perf_counter
        self._since = 0.0
        self.ours: list[float] = []
        self.eager: list[float] = []
        self.backend = ""

    def message(self, text: str) -> None:
        if text.startswith("kernels: "):
            self.backend = text.split()[1]

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        raise AssertionError("a fit has no generations")

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        own, began = self._now() - self._since, self._now()
        in_training = torch.get_num_threads()  # one, while the compiled library has them
        torch.set_num_threads(self._threads)
        self._eager.epoch()
        torch.set_num_threads(in_training)
        if report.epoch:  # the first one of both warms up
            self.ours.append(own)
            self.eager.append(self._now() - began)
        if len(self.ours) == self._rounds:
            signal.raise_signal(signal.SIGTERM)
        self._since = self._now()


def checked_bf16(shape: Shape) -> float:
    """Relative error of the gradient; ends the program where it is too large for bf16."""
    truth = first_gradient(shape, "reference", torch.float64)
    found = first_gradient(shape, "compiled-bf16", torch.float32)
    error = float((found - truth).norm() / truth.norm())
    if not error <= BF16_TOLERANCE:
        sys.exit(f"bf16: the gradient is off by {error:.1e}, {BF16_TOLERANCE:.0e} is allowed")
    return error


def measured(
    recording: Recording, rounds: int, *, threads: int, precision: str
) -> dict[str, Any]:  # JSON
    torch.set_num_threads(threads)
    settings = settings_of_ours(threads, precision)
    shape = shape_of(recording, settings)
    errors = checked(shape)
    if precision == "bf16":
        errors["compiled, bf16"] = checked_bf16(shape)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        turns = Turns(EagerEpochs(recording, shape, folder), rounds, threads)
        others = OtherWork.begin()
        fit_run(recording, settings, folder / "run", observer=turns)
        other_work_cores = others.cores()
    ours, eager = median(turns.ours), median(turns.eager)
    return {
        "threads": threads,
        "precision": precision,
        "backend": turns.backend,
        "other_work_cores": other_work_cores,
        "gradient_error": {key: float(f"{error:.1e}") for key, error in errors.items()},
        "ours_s": round(ours, 3),
        "ours_fastest_s": round(min(turns.ours), 3),
        "eager_s": round(eager, 3),
        "eager_fastest_s": round(min(turns.eager), 3),
        "times_faster": round(eager / ours, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--precision", nargs="+", default=["float32"], help="run.precision of ours")
    parser.add_argument("--results", type=Path, default=RESULTS)
    add_option(parser)
    given = parser.parse_args()
    if not (given.data / "mc_maze_large_subset.h5").exists():
        sys.exit(f"skipped: no recordings in {given.data}; say where they are with --data.")
    require_quiet(allowed=given.although_loaded)
    recording, load = recording_of(given.data), os.getloadavg()[0]
    result = {
        "what": __doc__.splitlines()[0],
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
        },
        "versions": library_versions(),
        **sources(),
        "measured": now_text(),
        "rounds": given.rounds,
        "epochs": [
            measured(recording, given.rounds, threads=threads, precision=precision)
            for threads in given.threads
            for precision in given.precision
        ],
    }
    for each in result["epochs"]:
        require_quiet(allowed=given.although_loaded, cores=each["other_work_cores"] or 0.0)
    given.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
