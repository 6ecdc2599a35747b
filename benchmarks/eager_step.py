"""An eager training step that stands in for the incumbent's way of working; one model.

Our own code, from the equations of docs/model.md. What makes it stand in: one cell call for every
bin and module, operands put together by `cat` in every bin, the read-out matrix normalised in every
bin, Bernoulli masks drawn by PyTorch, the counts' log-factorials and the metrics anew in every
step, AdamW and clipping over a list of parameters. `kernel_steps.py` says how its operator calls
and its time compare with what was measured of the incumbent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Eager", "EagerSettings"]


@dataclass(frozen=True, kw_only=True)
class EagerSettings:
    """What the step needs beside weights and data."""

    n_encoded_bins: int
    n_encoded_units: int  # the first ones
    clip: float
    lag: int
    dropout_rate: float
    hidden_rate: float  # of coordinated dropout
    is_sampled: bool
    kl_initial_condition: float
    kl_inputs: float
    l2: Mapping[str, float]
    prior_variance: float
    variance_floor: float
    scale: float
    learning_rate: float
    max_gradient_norm: float


class Eager:
    """Named weights as leaves; those of the two directions of an encoder apart, as modules are."""

    def __init__(self, named: Mapping[str, Tensor], settings: EagerSettings) -> None:
        self.settings = settings
        self.leaves: dict[str, Tensor] = {}
        for name, value in named.items():
            if name.startswith(("ic_encoder", "controller_encoder")):
                for d in (0, 1):
                    self.leaves[f"{name}.{d}"] = value[d].clone().requires_grad_()
            else:
                self.leaves[name] = value.clone().requires_grad_()
        self.optimiser = torch.optim.AdamW(
            self.leaves.values(), lr=settings.learning_rate, eps=1e-8, weight_decay=0.0
        )

    def step(self, counts: Tensor) -> Tensor:
        """One update on a batch [B, T, N]; gives the loss."""
        self.optimiser.zero_grad()
        loss = self.loss(counts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.leaves.values(), self.settings.max_gradient_norm)
        self.optimiser.step()
        return loss.detach()

    def gradient(self, counts: Tensor) -> dict[str, Tensor]:
        """By our names, both directions together again."""
        gradients = torch.autograd.grad(self.loss(counts), list(self.leaves.values()))
        found = dict(zip(self.leaves, gradients, strict=True))
        joined = {name[:-2] for name in found if name[-2:] in (".0", ".1")}
        both = {name: torch.stack([found[f"{name}.0"], found[f"{name}.1"]]) for name in joined}
        return both | {
            name: value for name, value in found.items() if name[-2:] not in (".0", ".1")
        }

    def loss(self, counts: Tensor) -> Tensor:
        """Reconstruction, divergences and penalties of one batch."""
        own = self.settings
        seen = counts[:, : own.n_encoded_bins, : own.n_encoded_units]
        kept = None
        if own.hidden_rate:
            kept = torch.bernoulli(torch.full_like(seen, 1.0 - own.hidden_rate))
            seen = seen * kept / (1.0 - own.hidden_rate)
        mean, std, states = self._encode(self._dropped(seen))
        z = mean + std * torch.randn_like(std) if own.is_sampled else mean
        factors, inputs_mean, inputs_std, inputs = self._generate(z, states, counts.shape[1])
        log_rates = self._linear("readout.maze", factors)
        nats = functional.poisson_nll_loss(log_rates, counts, full=True, reduction="none")
        if kept is not None:
            blocked = functional.pad(
                kept.bool(),
                (0, nats.shape[2] - kept.shape[2], 0, nats.shape[1] - kept.shape[1]),
            )
            nats = torch.where(blocked, nats.detach(), nats)
        self._metrics(log_rates.detach(), counts)
        divergence = own.kl_initial_condition * self._initial_divergence(mean, std)
        divergence = divergence + own.kl_inputs * self._input_divergence(
            inputs_mean, inputs_std, inputs
        )
        return own.scale * (nats.mean() + divergence + self._penalty())

    def _cell(self, name: str, x: Tensor, h: Tensor, direction: str = "") -> Tensor:
        own = self.leaves
        size = h.shape[1]
        gates = torch.addmm(own[f"{name}.bias{direction}"], x, own[f"{name}.input{direction}"])
        x_z, x_r, x_n = torch.split(gates, size, 1)
        u_zr, u_n = torch.split(own[f"{name}.recurrent{direction}"], [2 * size, size], 1)
        h_z, h_r = torch.split(torch.mm(h, u_zr), size, 1)
        z, r = torch.sigmoid(x_z + h_z), torch.sigmoid(x_r + h_r)
        n = torch.tanh(x_n + torch.mm(r * h, u_n))
        return torch.clamp(z * h + (1 - z) * n, -self.settings.clip, self.settings.clip)

    def _both_ways(self, name: str, x: Tensor) -> list[Tensor]:
        """States of both directions, [B, E, H] each, in the order of time."""
        found = []
        for d, each in enumerate((x, x.flip(1))):
            h = self.leaves[f"{name}.initial_state.{d}"].expand(len(x), -1)
            states = []
            for given in each.transpose(0, 1):
                h = self._cell(name, given, h, f".{d}")
                states.append(h)
            stacked = torch.stack(states, 1)
            found.append(stacked.flip(1) if d else stacked)
        return found

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        forward, backward = self._both_ways("ic_encoder", x)
        last = self._dropped(torch.cat([forward[:, -1], backward[:, 0]], 1))
        mean, log_variance = torch.chunk(self._linear("initial_condition", last), 2, 1)
        std = torch.sqrt(torch.exp(log_variance) + self.settings.variance_floor)
        forward, backward = self._both_ways("controller_encoder", x)
        lag = self.settings.lag
        forward = functional.pad(forward[:, :-lag], (0, 0, lag, 0))
        backward = functional.pad(backward[:, lag:], (0, 0, 0, lag))
        return mean, std, torch.cat([forward, backward], -1)

    def _generate(
        self, z: Tensor, states: Tensor, n_bins: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = self.leaves
        states = functional.pad(states, (0, 0, 0, n_bins - states.shape[1]))
        generator = self._linear("generator_start", z)
        controller = own["controller.initial_state"].expand(len(z), -1)
        factors = self._factors(generator)
        record = []
        for seen in states.transpose(0, 1):
            given = self._dropped(torch.cat([seen, factors], 1))
            controller = self._cell("controller", given, controller)
            posterior = torch.addmm(
                own["controller.output_bias"], controller, own["controller.output_weight"]
            )
            mean, log_variance = torch.chunk(posterior, 2, 1)
            std = torch.exp(0.5 * log_variance)
            inputs = mean + std * torch.randn_like(std) if self.settings.is_sampled else mean
            generator = self._cell("generator", inputs, generator)
            factors = self._factors(generator)
            record.append(torch.cat([generator, controller, mean, std, inputs, factors], 1))
        n_inputs, n_factors = mean.shape[1], factors.shape[1]
        sizes = [generator.shape[1], controller.shape[1], n_inputs, n_inputs, n_inputs, n_factors]
        _, _, mean, std, inputs, factors = torch.split(torch.stack(record, 1), sizes, -1)
        return factors, mean, std, inputs

    def _factors(self, generator: Tensor) -> Tensor:
        matrix = functional.normalize(self.leaves["factors.weight"], dim=1)
        return torch.mm(self._dropped(generator), matrix.t())

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.leaves[f"{name}.weight"] + self.leaves[f"{name}.bias"]

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.settings.dropout_rate)

    def _initial_divergence(self, mean: Tensor, std: Tensor) -> Tensor:
        variance = torch.full_like(std, self.settings.prior_variance)
        return (
            _divergence(mean, std, self.leaves["initial_condition_prior.mean"], variance)
            .sum(1)
            .mean()
        )

    def _input_divergence(self, mean: Tensor, std: Tensor, sample: Tensor) -> Tensor:
        decay = torch.exp(-torch.exp(-self.leaves["input_prior.log_time_constant"]))
        variance = torch.exp(self.leaves["input_prior.log_variance"])
        first = _divergence(
            mean[:, :1], std[:, :1], torch.zeros_like(decay), variance / (1 - decay**2)
        )
        later = _divergence(mean[:, 1:], std[:, 1:], decay * sample[:, :-1], variance)
        return (first.sum((1, 2)) + later.sum((1, 2))).mean()

    def _penalty(self) -> Tensor:
        total, n_entries = torch.zeros(()), 0
        for part, scale in self.settings.l2.items():
            if not scale:
                continue
            for name in (f"{part}.recurrent", f"{part}.recurrent.0", f"{part}.recurrent.1"):
                if name in self.leaves:
                    total = total + scale * 0.5 * self.leaves[name].square().sum()
                    n_entries += self.leaves[name].numel()
        return total / max(n_entries, 1)

    @torch.no_grad()
    def _metrics(self, log_rates: Tensor, counts: Tensor) -> None:
        """Bits per spike and R2 of every batch, as they are logged in every step."""
        null = counts.mean((0, 1), keepdim=True).clamp_min(1e-9).log().expand_as(log_rates)
        rates = log_rates.exp()
        for each in (log_rates, null):
            functional.poisson_nll_loss(each, counts, full=True, reduction="sum")
        (counts - rates).square().sum() / (counts - counts.mean()).square().sum()


def _divergence(mean: Tensor, std: Tensor, prior_mean: Tensor, prior_variance: Tensor) -> Tensor:
    ratio = ((mean - prior_mean).square() + std.square()) / prior_variance
    return 0.5 * (prior_variance.log() - 2.0 * std.log() + ratio - 1.0)
