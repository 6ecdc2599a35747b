"""Where read-ins and read-outs start: principal-component regression on averages of the sessions.

Per session with averages x [C, E, N] and shared components c [C, E, R]: `c ~ (x - mean) W`. The
read-in is W with the bias `-mean W`. The read-out takes the first R factors for the components:
`x - mean ~ c A`, A the pseudo-inverse (or transpose) of W, carried through the link at the training
mean: a change dx of a unit's mean is one of `dx g / |g|^2` of its parameters, g the gradient of the
observation's mean there. All read-outs are then multiplied by one number that gives their weights
the size they have otherwise, 1 / sqrt(F): before training the factors are not on the components'
scale, and rates that begin far off cost the first epochs. Factors beyond R, units that are not
encoded, and parameters that do not move the mean start as they would without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lfads_torch.analysis.alignment.averages import SessionAverages
    from lfads_torch.analysis.alignment.regression import Components, Regression
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.model.weights import GivenStart

__all__ = ["Alignment", "align", "link_gradient", "readin_start", "readout_start"]


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """The sessions' averages, what they share, and each session's regression onto it."""

    averages: tuple[SessionAverages, ...]
    components: Components
    regressions: tuple[Regression, ...]
    kind: str
    note: str  # why the averages are of this kind, where it was left open

    def as_json(self) -> dict[str, Any]:  # JSON values
        """The content of `alignment.json`."""
        from lfads_torch.analysis.alignment.report import alignment_as_json, session_alignment

        sessions = [
            session_alignment(averages, self.components, regression)
            for averages, regression in zip(self.averages, self.regressions, strict=True)
        ]
        return alignment_as_json(sessions, self.components, kind=self.kind, note=self.note)

    def starts(
        self,
        settings: Settings,
        observations: Mapping[str, Observation],
        biases: Mapping[str, Tensor],
    ) -> dict[str, GivenStart]:
        """Starts of the read-ins' and read-outs' weights, by name.

        `biases` are the read-outs', [K, N] of each session.
        """
        from lfads_torch.loss.observations.several import parameter_places

        readins: dict[str, GivenStart] = {}
        readouts: dict[str, GivenStart] = {}
        how = settings.sessions.readout_initialisation
        for averages, regression in zip(self.averages, self.regressions, strict=True):
            name, weight = averages.session, regression.weight
            readins |= readin_start(name, weight, -averages.mean @ weight)
            # A read-out of somebody's own starts as it says itself.
            if how != "random" and settings.model.read_out == "linear":
                inverse = np.linalg.pinv(weight) if how == "pseudo_inverse" else weight.T
                back = np.asarray(inverse, dtype=np.float64)
                readouts |= readout_start(
                    name,
                    back,
                    link_gradient(observations[name], biases[name]),
                    n_factors=settings.model.n_factors,
                    is_encoded=averages.is_encoded,
                    places=parameter_places(observations[name], biases[name].shape[1]),
                )
        return readins | _usual_size(readouts, settings.model.n_factors)


def align(recordings: Sequence[Recording], settings: Settings) -> Alignment:
    """Regress every session onto the components that they share; training trials alone."""
    from lfads_torch.analysis.alignment.averages import choose_kind, session_averages
    from lfads_torch.analysis.alignment.regression import global_components, ridge_onto

    kind, reason = choose_kind(recordings, settings.sessions.initialisation)
    smoothing = settings.sessions.smoothing_ms
    averages = tuple(session_averages(each, kind, smoothing_ms=smoothing) for each in recordings)
    components = global_components(
        [each.values for each in averages], settings.sessions.readin_size
    )
    regressions = tuple(ridge_onto(each.values, components.values) for each in averages)
    return Alignment(
        averages=averages,
        components=components,
        regressions=regressions,
        kind=kind,
        note=f"{reason}: the average trial instead" if reason else "",
    )


def link_gradient(observation: Observation, bias: Tensor) -> NDArray[np.float64]:
    """Gradient of each unit's mean in its parameters at the bias, over its squared length, [K, N].

    Zero where no parameter moves the mean.
    """
    import torch

    at = bias.double().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(observation.mean(at).sum(), at)
    length = gradient.square().sum(0, keepdim=True)
    scaled = torch.where(length > 0, gradient / length.clamp_min(1e-300), 0.0)
    return np.asarray(scaled.numpy(), dtype=np.float64)


def readin_start(
    session: str, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> dict[str, GivenStart]:
    """A read-in's weight [N, R] and bias [R]."""
    return {
        f"readin.{session}.weight": _given(weight, np.ones_like(weight, dtype=bool)),
        f"readin.{session}.bias": _given(bias, np.ones_like(bias, dtype=bool)),
    }


def readout_start(
    session: str,
    back: NDArray[np.float64],
    gradient: NDArray[np.float64],
    *,
    n_factors: int,
    is_encoded: NDArray[np.bool_],
    places: tuple[int, ...] | None = None,
) -> dict[str, GivenStart]:
    """A read-out's weight [F, K * N] from components (or factors) to counts of the encoded units.

    `back` is [R, encoded units], `gradient` that of `link_gradient`. Of the K * N parameters only
    `places` exist (None: all).
    """
    n_parameters, n_units = gradient.shape
    values = np.zeros((n_factors, n_parameters, n_units))
    is_given = np.zeros(values.shape, dtype=bool)
    n_rows = min(n_factors, len(back))
    moving = gradient[:, is_encoded] != 0
    values[:n_rows, :, is_encoded] = back[:n_rows, None] * gradient[None][:, :, is_encoded]
    is_given[:n_rows, :, is_encoded] = moving
    shape = (n_factors, n_parameters * n_units)
    exists = slice(None) if places is None else list(places)
    flat = _given(values.reshape(shape)[:, exists], is_given.reshape(shape)[:, exists])
    return {f"readout.{session}.weight": flat}


def _usual_size(readouts: dict[str, GivenStart], n_factors: int) -> dict[str, GivenStart]:
    import torch

    given = [start.values[start.is_given] for start in readouts.values()]
    squares = torch.cat(given).square().mean().item() if given else 0.0
    scale = (squares * n_factors) ** -0.5 if squares > 0 else 1.0
    return {name: replace(start, values=start.values * scale) for name, start in readouts.items()}


def _given(values: NDArray[np.float64], is_given: NDArray[np.bool_]) -> GivenStart:
    import torch

    from lfads_torch.model.weights import GivenStart

    return GivenStart(torch.from_numpy(values.copy()), torch.from_numpy(is_given.copy()))
