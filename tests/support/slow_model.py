"""The model and its loss once more, for one trial of one member, in loops over bins and units.

Written from the equations of `docs/model.md` in numpy; it shares no line with the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SlowSizes", "SlowTrial", "gru_step", "slow_trial", "step_wise_divergence"]

Vector = NDArray[np.float64]
Drawn = Callable[[str], Vector | None]  # a site's noise or mask of this trial; None: none


@dataclass(frozen=True)
class SlowSizes:
    n_bins: int
    n_encoded_bins: int
    ic_bins: int
    lag: int
    clip: float
    variance_floor: float
    encoded_units: tuple[int, ...]


@dataclass(frozen=True)
class SlowTrial:
    """Every signal of one trial, over the generated bins."""

    ic_mean: Vector
    ic_std: Vector
    z: Vector
    generator_start: Vector
    seen: Vector  # [T, E], what the controller sees of its encoder
    controller_states: Vector
    input_mean: Vector
    input_log_variance: Vector
    inputs: Vector
    generator_states: Vector
    factors: Vector
    parameters: Vector  # [T, K * N]


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def gru_step(
    x: Vector, h: Vector, weights: tuple[Vector, Vector, Vector], *, clip: float
) -> Vector:
    """One hidden unit after the other; the columns are the gates z, r, n side by side."""
    to_gates, recurrent, bias = weights
    size = len(h)
    z, r = np.zeros(size), np.zeros(size)
    for j in range(size):
        z[j] = sigmoid(x @ to_gates[:, j] + h @ recurrent[:, j] + bias[j])
        k = size + j
        r[j] = sigmoid(x @ to_gates[:, k] + h @ recurrent[:, k] + bias[k])
    after = np.zeros(size)
    for j in range(size):
        k = 2 * size + j
        n = math.tanh(x @ to_gates[:, k] + (r * h) @ recurrent[:, k] + bias[k])
        after[j] = min(max(z[j] * h[j] + (1.0 - z[j]) * n, -clip), clip)
    return after


def _cell(named: Mapping[str, Vector], name: str, direction: int | None = None):
    parts = (named[f"{name}.input"], named[f"{name}.recurrent"], named[f"{name}.bias"])
    return parts if direction is None else tuple(part[direction] for part in parts)


def _both_directions(x: Vector, named: Mapping[str, Vector], name: str, clip: float):
    """States after reading each bin forwards, and backwards, both in the order of time."""
    start = named[f"{name}.initial_state"]
    forward, h = [], start[0]
    for t in range(len(x)):
        h = gru_step(x[t], h, _cell(named, name, 0), clip=clip)
        forward.append(h)
    backward, h = [], start[1]
    for t in reversed(range(len(x))):
        h = gru_step(x[t], h, _cell(named, name, 1), clip=clip)
        backward.insert(0, h)
    return forward, backward


def slow_trial(
    counts: Vector,  # [E, N], all units; 0 where missing
    external: Vector | None,  # [L, X], all recording bins
    named: Mapping[str, Vector],
    drawn: Drawn,
    sizes: SlowSizes,
) -> SlowTrial:
    def dropped(value: Vector, site: str, t: int | None = None) -> Vector:
        mask = drawn(site)
        return value if mask is None else value * (mask if t is None else mask[t])

    x = dropped(counts[:, list(sizes.encoded_units)], "dropout.data")
    mean, std, z = _initial_condition(x, named, drawn, sizes)
    start = z @ named["generator_start.weight"] + named["generator_start.bias"]
    matrix = named["factors.weight"]
    matrix = np.stack([row / math.sqrt(float(row @ row)) for row in matrix])
    state, factors = start, matrix @ dropped(start, "dropout.generator_start")
    has_controller = "controller.recurrent" in named
    control = named["controller.initial_state"] if has_controller else None
    seen = _seen_by_controller(x, named, sizes) if has_controller else None
    record: dict[str, list[Vector]] = {name: [] for name in SlowTrial.__annotations__}
    noise = drawn("sample.inputs")
    for t in range(sizes.n_bins - sizes.ic_bins):
        drive = np.zeros(0)
        if has_controller:
            encoder = dropped(seen[t], "dropout.controller_encoder", t)
            given = np.concatenate([encoder, dropped(factors, "dropout.factors", t)])
            control = gru_step(given, control, _cell(named, "controller"), clip=sizes.clip)
            both = control @ named["controller.output_weight"] + named["controller.output_bias"]
            input_mean, log_variance = np.split(both, 2)
            drive = input_mean
            if noise is not None:
                drive = input_mean + np.exp(log_variance / 2.0) * noise[t]
            record["controller_states"].append(control)
            record["input_mean"].append(input_mean)
            record["input_log_variance"].append(log_variance)
            record["inputs"].append(drive)
        if external is not None:
            known = dropped(external[sizes.ic_bins + t], "dropout.external", t)
            drive = np.concatenate([drive, known])
        state = gru_step(drive, state, _cell(named, "generator"), clip=sizes.clip)
        factors = matrix @ dropped(state, "dropout.generator", t)
        record["generator_states"].append(state)
        record["factors"].append(factors)
        record["parameters"].append(
            factors @ named["readout.session.weight"] + named["readout.session.bias"]
        )
    signals = {name: np.array(values) for name, values in record.items()}
    return SlowTrial(**{
        **signals, "ic_mean": mean, "ic_std": std, "z": z, "generator_start": start,
        "seen": np.zeros(0) if seen is None else seen,
    })  # fmt: skip


def _initial_condition(
    x: Vector, named: Mapping[str, Vector], drawn: Drawn, sizes: SlowSizes
) -> tuple[Vector, Vector, Vector]:
    read = x[: sizes.ic_bins] if sizes.ic_bins else x
    forward, backward = _both_directions(read, named, "ic_encoder", sizes.clip)
    last = np.concatenate([forward[-1], backward[0]])
    mask = drawn("dropout.ic_encoder")
    last = last if mask is None else last * mask
    both = last @ named["initial_condition.weight"] + named["initial_condition.bias"]
    mean, log_variance = np.split(both, 2)
    std = np.sqrt(np.exp(log_variance) + sizes.variance_floor)
    noise = drawn("sample.initial_condition")
    return mean, std, mean if noise is None else mean + std * noise


def _seen_by_controller(x: Vector, named: Mapping[str, Vector], sizes: SlowSizes) -> Vector:
    """By recording bin: forward state of bin - lag, backward state of bin + lag, else zeros."""
    first, end = sizes.ic_bins, sizes.n_encoded_bins
    forward, backward = _both_directions(x[first:], named, "controller_encoder", sizes.clip)
    width = named["controller_encoder.initial_state"].shape[-1]
    seen = np.zeros((sizes.n_bins - first, 2 * width))
    for bin_ in range(first, end):  # bins from E on keep their zeros
        if bin_ - sizes.lag >= first:
            seen[bin_ - first, :width] = forward[bin_ - sizes.lag - first]
        if bin_ + sizes.lag < end:
            seen[bin_ - first, width:] = backward[bin_ + sizes.lag - first]
    return seen


def step_wise_divergence(
    mean: Vector, variance: Vector, sample: Vector, *, tau: Vector, v: Vector
) -> float:
    """The AR(1) term of one trial, [T, U], written out bin by bin and dimension by dimension."""
    total = 0.0
    for d in range(mean.shape[1]):
        a = math.exp(-1.0 / tau[d])
        v1 = v[d] / (1.0 - a * a)
        for t in range(len(mean)):
            s2 = variance[t, d]
            if t == 0:
                total += 0.5 * (math.log(v1 / s2) + (mean[0, d] ** 2 + s2) / v1 - 1.0)
                continue
            expected = a * sample[t - 1, d]
            gap = (mean[t, d] - expected) ** 2
            total += 0.5 * (math.log(v[d] / s2) + (gap + s2) / v[d] - 1.0)
    return total
