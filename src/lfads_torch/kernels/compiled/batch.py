"""A training batch of one session for the encoder: gathered, hidden, dropped out, in one pass.

Axes: P member, B trial of the batch, E encoded bin, T generated bin, N unit, I encoded unit;
R trials of the recording, L their bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["BatchSizes", "CompiledBatch", "Thinning", "Thinnings", "WhichNumbers"]


@dataclass(frozen=True)
class BatchSizes:
    """Bins of the batch: encoded ones, generated ones, and the first that can be hidden."""

    n_encoded_bins: int
    n_generated_bins: int
    first_bin: int


@dataclass(frozen=True)
class Thinning:
    """One dropout: its site's key, each member's rate, and its threshold of 16 bits."""

    site: int
    rate: Float[Tensor, " P"]
    threshold: Int[Tensor, " P"]

    def scale(self) -> Float[Tensor, " P"]:
        """Of what is kept."""
        return (1.0 / (1.0 - self.rate)).double().contiguous()


@dataclass(frozen=True)
class Thinnings:
    """Coordinated dropout, the share of its hidden entries' complement that gives gradient too, and
    dropout on what the encoder reads. None: there is none in this batch."""

    hide: Thinning | None
    passing: Thinning | None
    drop: Thinning | None

    def keys(self) -> dict[str, int]:
        sites = {"hide_site": self.hide, "pass_site": self.passing, "drop_site": self.drop}
        return {name: each.site for name, each in sites.items() if each is not None}

    def arrays(self) -> dict[str, Tensor]:
        found = {}
        if self.hide is not None:
            found["hide_threshold"] = self.hide.threshold.contiguous()
            found["hide_scale"] = self.hide.scale()
            found["hides_nothing"] = (self.hide.rate == 0).contiguous()
        if self.passing is not None:
            found["pass_threshold"] = self.passing.threshold.contiguous()
        if self.drop is not None:
            found["drop_threshold"] = self.drop.threshold.contiguous()
            found["drop_scale"] = self.drop.scale()
        return found


@dataclass(frozen=True)
class WhichNumbers:
    """Which random numbers: run seed, step, members' ids, rows of the trials. See streams.py."""

    seed: int
    step: int
    members: Int[Tensor, " P"]
    rows: Int[Tensor, "P B"]


@dataclass(frozen=True)
class CompiledBatch:
    """Gathers with one instruction set; the numbers do not depend on which."""

    library: Library
    instructions: str

    def __call__(
        self,
        counts: Float[Tensor, "R L N"],
        index: Int[Tensor, "P B"],
        *,
        encoded_units: Int[Tensor, " I"],
        sizes: BatchSizes,
        numbers: WhichNumbers,
        thinnings: Thinnings,
    ) -> tuple[Float[Tensor, "P E B I"], Bool[Tensor, "P B T N"] | None]:
        """What the encoder reads, and which entries give gradient (None: all)."""
        n_members, n_trials = index.shape
        n_units = counts.shape[2]
        x = torch.empty(n_members, sizes.n_encoded_bins, n_trials, len(encoded_units))
        arrays = dict(
            member=numbers.members.contiguous(),
            row=numbers.rows.contiguous(),
            index=index.contiguous(),
            counts=counts.contiguous(),
            unit=encoded_units,
            x=x,
        )
        gradient = None
        if thinnings.hide is not None:
            never = torch.ones(n_units, dtype=torch.bool)
            never[encoded_units] = False
            gradient = torch.empty(
                n_members, sizes.n_generated_bins, n_trials, n_units, dtype=torch.bool
            )
            arrays |= dict(never_hidden=never, has_gradient=gradient)
        self.library.call(
            "batch",
            self.instructions,
            dict(
                members=n_members,
                trials=n_trials,
                bins=sizes.n_generated_bins,
                units=n_units,
                recording_bins=counts.shape[1],
                encoded_bins=sizes.n_encoded_bins,
                first_bin=sizes.first_bin,
                inputs=len(encoded_units),
                threads=library_threads(),
                key0=numbers.seed & 0xFFFFFFFF,
                step=numbers.step & 0xFFFFFFFF,
                **thinnings.keys(),
            ),
            arrays | thinnings.arrays(),
        )
        return x, None if gradient is None else gradient.transpose(1, 2)
