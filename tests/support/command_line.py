"""Running the command `lfads` in this process, and what a tiny fit is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SYSTEM", "TINY", "Lfads", "Made", "Outcome", "assert_one_message", "options"]

TINY = {
    "model.ic_encoder_size": 5,
    "model.controller_encoder_size": 4,
    "model.controller_size": 4,
    "model.generator_size": 6,
    "model.n_factors": 3,
    "model.n_inferred_inputs": 1,
    "model.initial_condition_size": 3,
    "loss.kl_ramp_increase": 1,
    "loss.l2_ramp_increase": 1,
    "training.epochs": 3,
    "training.batch_size": 16,
    "inference.n_samples": 3,
    "run.threads": 1,
}
SYSTEM = {
    "n_conditions": 3,
    "n_trials_per_condition": 9,
    "n_valid_per_condition": 2,
    "n_test_per_condition": 1,
    "n_units": 7,
    "n_steps": 220,
    "bin_width_s": 0.02,
}


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Lfads = Callable[..., Outcome]


@dataclass(frozen=True)
class Made:
    """A recording and a run on it, which no test may change."""

    recording: Path
    run: Path


def options(values: Mapping[str, object]) -> list[str]:
    """`--set name=value` for each."""
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def assert_one_message(err: str) -> None:
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].strip()
