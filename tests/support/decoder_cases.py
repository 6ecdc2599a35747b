"""Random cases of the generation recurrence, for every backend held against the reference."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.reference import (
    ControllerWeights,
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
)
from lfads_torch.kernels.gru.reference import GRUWeights

__all__ = [
    "CELL", "CONTROLLER", "SIZES", "Case", "Sizes", "random_case", "random_gradients", "signals",
    "values_and_gradients",
]  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    members: int = 2
    bins: int = 5
    trials: int = 3
    encoder: int = 6
    controller: int = 5
    inferred: int = 2
    external: int = 0
    generator: int = 7
    factors: int = 4


SIZES = {
    "ones": Sizes(1, 1, 1, 1, 1, 1, 0, 1, 1),
    "odd": Sizes(1, 33, 3, 3, 1, 3, 0, 17, 3),
    "one trial": Sizes(4, 5, 1, 6, 33, 1, 3, 3, 1),
    "external": Sizes(3, 7, 33, 4, 5, 2, 1, 6, 3),
    "free": Sizes(2, 9, 3, 0, 0, 0, 0, 33, 5),
    "free, external": Sizes(3, 3, 5, 0, 0, 0, 2, 7, 3),
    "blocks of 2, 2 and 1 bins": Sizes(2, 5, 401, 2, 3, 1, 1, 3, 2),
}

CELL = ("control_input", "control_recurrent", "control_bias")
CONTROLLER = ("encoder_states", *CELL, "control_start", "output_weight", "output_bias")


@dataclass(frozen=True)
class Case:
    """`tensors` are those that can need a gradient, `fixed` the noise and the masks."""

    tensors: dict[str, Tensor]
    fixed: dict[str, Tensor]
    n_bins: int
    clip: float = 5.0

    def run(self, scan) -> DecoderOutput:
        t = self.tensors
        signals = (t["generator_state"], self.n_bins, t.get("encoder_states"))
        given = DecoderInput(*signals, t.get("external_inputs"), **self.fixed)
        controller = None
        if "encoder_states" in t:
            cell = GRUWeights(*(t[name] for name in CELL))
            output = (t["control_start"], t["output_weight"], t["output_bias"])
            controller = ControllerWeights(cell, *output)
        generator = GRUWeights(t["input"], t["recurrent"], t["bias"])
        return scan(given, DecoderWeights(generator, t["factors"], controller), clip=self.clip)

    def map(self, function) -> Case:
        both = (self.tensors, self.fixed)
        tensors, fixed = ({k: function(v) for k, v in named.items()} for named in both)
        return replace(self, tensors=tensors, fixed=fixed)


def random_case(sizes: Sizes, *, clip: float = 5.0, fixed: bool = True) -> Case:
    """Initial states are several times the clip, so that the clip acts at the first step."""
    random = torch.Generator().manual_seed(11)
    n, lead = sizes, (sizes.members, sizes.bins, sizes.trials)

    def draw(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64) * scale

    def mask(*shape: int) -> Tensor:
        kept = torch.rand(shape, generator=random, dtype=torch.float64) < 0.75
        return kept / 0.75

    def cell(n_inputs: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
        scale = (n_inputs + size) ** -0.5
        weights = draw(n.members, n_inputs, 3 * size, scale=scale)
        return weights, draw(n.members, size, 3 * size, scale=scale), draw(n.members, 3 * size)

    tensors = {"generator_state": draw(n.members, n.trials, n.generator, scale=2 * clip)}
    generator = cell(n.inferred + n.external, n.generator)
    tensors |= dict(zip(("input", "recurrent", "bias"), generator, strict=True))
    tensors["factors"] = draw(n.members, n.factors, n.generator)
    masks = {
        "initial_generator_mask": mask(n.members, n.trials, n.generator),
        "generator_mask": mask(*lead, n.generator),
    }
    if n.external:
        tensors["external_inputs"] = draw(*lead, n.external)
    if n.controller:
        control = cell(n.encoder + n.factors, n.controller)
        start = draw(n.members, n.controller, scale=2 * clip)
        output = draw(n.members, n.controller, 2 * n.inferred, scale=n.controller**-0.5)
        parts = (draw(*lead, n.encoder), *control, start, output, draw(n.members, 2 * n.inferred))
        tensors |= dict(zip(CONTROLLER, parts, strict=True))
        masks |= {"factor_mask": mask(*lead, n.factors), "noise": draw(*lead, n.inferred)}
    return Case(tensors, masks if fixed else {}, n.bins, clip)


def signals(output: DecoderOutput) -> dict[str, Tensor]:
    named = {f.name: getattr(output, f.name) for f in fields(output)}
    return {name: signal for name, signal in named.items() if signal is not None}


def random_gradients(found: dict[str, Tensor]) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(7)
    drawn = (torch.randn(s.shape, generator=random, dtype=torch.float64) for s in found.values())
    return {k: g.to(s) for (k, s), g in zip(found.items(), drawn, strict=True)}


def values_and_gradients(case: Case, scan, used: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """All outputs and the gradients of all inputs, given gradients of the outputs `used` (all)."""
    leaves = {k: v.detach().clone().requires_grad_() for k, v in case.tensors.items()}
    found = signals(replace(case, tensors=leaves).run(scan))
    weights = random_gradients(found)
    total = torch.stack([(found[k] * weights[k]).sum() for k in used or found]).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    named = {
        f"gradient of {k}": torch.zeros_like(v) if g is None else g
        for (k, v), g in zip(leaves.items(), gradients, strict=True)
    }
    return {k: v.detach() for k, v in found.items()} | named
