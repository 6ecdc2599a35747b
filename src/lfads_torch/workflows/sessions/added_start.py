"""The weights that a session is added to, and the regressions with which its own begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import LfadsError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lfads_torch.analysis.alignment.averages import SessionAverages
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import Observer

__all__ = ["START", "regressed_starts", "shared_starts"]

START = "checkpoints/start.safetensors"


def shared_starts(run: RunFolder, member: int) -> dict[str, Tensor]:
    """One member's best weights, without read-ins and read-outs, by name."""
    import torch

    from lfads_torch.training.checkpoint import load_extras, read_members

    path, device = run.best_checkpoint_path, torch.device("cpu")
    row = read_members(path, device).index(member)
    named = load_extras(path, device, prefix="weights/")
    return {
        name: value[row].clone()
        for name, value in named.items()
        if not name.startswith(("readin.", "readout."))
    }


def regressed_starts(
    run: RunFolder, recording: Recording, settings: Settings, member: int, observer: Observer
) -> dict[str, Tensor]:
    """Starts of the new read-in and read-out; NaN where they start as usual; none at random.

    Needs the recordings and rates of the run's sessions; where they have gone the start is random,
    which is said.
    """
    from lfads_torch.analysis.alignment.averages import choose_kind, session_averages
    from lfads_torch.analysis.alignment.regression import ridge_onto
    from lfads_torch.workflows.sessions.folder import read_recordings_of

    if settings.sessions.initialisation == "random":
        return {}
    try:
        others = read_recordings_of(run)
        kind, reason = choose_kind([recording, *others], settings.sessions.initialisation)
        factors = _mean_factors(run, others, kind, member)
    except LfadsError as error:
        if settings.sessions.initialisation == "conditions":
            raise
        observer.message(f"the new read-in and read-out start at random: {error}")
        return {}
    if reason:
        observer.message(f"{reason}: the average trial aligns the new session")
    smoothing = settings.sessions.smoothing_ms
    own = session_averages(recording, kind, smoothing_ms=smoothing)
    target = _mean_input(run, member, [
        session_averages(each, kind, smoothing_ms=smoothing) for each in others
    ])  # fmt: skip
    offset = target.mean((0, 1))
    regression = ridge_onto(own.values, target - offset)
    observer.message(
        f"share of what the encoders are used to that the units of {recording.session} explain, "
        f"held out: {_explained(target - offset, regression.predicted):.2f}"
    )
    weight = regression.weight
    found = {
        f"readin.{recording.session}.weight": _tensor(weight),
        f"readin.{recording.session}.bias": _tensor(offset - own.mean @ weight),
    }
    wants = settings.sessions.readout_initialisation != "random"
    if not wants or settings.model.read_out != "linear":
        return found
    if factors is None:
        observer.message(
            f"the new read-out starts at random: the run has no factors of member {member} in "
            "every bin of its sessions (rates.nc is of another member, is gone, or trials end "
            "before others)"
        )
        return found
    return found | _readout(recording, settings, own, factors)


def _mean_input(
    run: RunFolder, member: int, averages: list[SessionAverages]
) -> NDArray[np.float64]:
    """What the encoders see of each condition, mean over the model's sessions, [C, E, R]."""
    import torch

    from lfads_torch.training.checkpoint import load_extras, read_members

    path, device = run.best_checkpoint_path, torch.device("cpu")
    row = read_members(path, device).index(member)
    named = load_extras(path, device, prefix="weights/readin.")
    seen = [
        (each.values + each.mean) @ named[f"{each.session}.weight"][row].double().numpy()
        + named[f"{each.session}.bias"][row].double().numpy()
        for each in averages
    ]
    return np.asarray(np.mean(seen, axis=0), dtype=np.float64)


def _mean_factors(
    run: RunFolder, others: tuple[Recording, ...], kind: str, member: int
) -> NDArray[np.float64] | None:
    """Factors of each condition, mean over training trials, then sessions, [C, T, F].

    None where the stored ones are of another member (whose axes are others), or not of every bin.
    """
    from lfads_torch.outputs.rates_file import open_rates
    from lfads_torch.workflows.sessions.folder import session_runs

    found = []
    for own, recording in zip(session_runs(run), others, strict=True):
        if recording.split is None or not own.rates_path.is_file():
            return None
        train = recording.split.trials("train")
        with open_rates(own.rates_path) as rates:
            if int(rates.attrs["member"]) != member:
                return None
            factors = rates["factors"].values[train].astype(np.float64)
        if not np.isfinite(factors).all():
            return None
        if kind == "conditions" and recording.condition is not None:
            labels = np.asarray(recording.condition[train]).astype(np.str_)
        else:
            labels = np.full(len(train), "all trials")
        found.append(np.stack([factors[labels == name].mean(0) for name in np.unique(labels)]))
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def _readout(
    recording: Recording,
    settings: Settings,
    own: SessionAverages,
    factors: NDArray[np.float64],
) -> dict[str, Tensor]:
    """The read-out's weight and bias from averages on factors, through the link at the mean."""
    from lfads_torch.analysis.alignment.regression import ridge_onto
    from lfads_torch.loss.observations.several import parameter_places
    from lfads_torch.workflows.assemble import unit_moments
    from lfads_torch.workflows.families import observation_for
    from lfads_torch.workflows.sessions.starts import link_gradient

    assert recording.split is not None  # it trains
    observation = observation_for(recording, settings.loss)
    places = parameter_places(observation, recording.n_units)
    exists = slice(None) if places is None else list(places)
    train = recording.counts[recording.split.trials("train")]
    bias = observation.initial_bias(unit_moments(train))
    gradient = link_gradient(observation, bias)
    first = settings.model.first_generated_bin
    averages = own.values[:, first:]
    generated = factors[:, : averages.shape[1]]
    mean = generated.mean((0, 1))
    back = ridge_onto(generated - mean, averages).weight  # [F, encoded units]
    values = np.full((len(back), *gradient.shape), np.nan)
    step = back[:, None] * gradient[None][:, :, own.is_encoded]
    values[:, :, own.is_encoded] = np.where(gradient[:, own.is_encoded] != 0, step, np.nan)
    start = bias.double().numpy().copy()
    start[:, own.is_encoded] -= np.nan_to_num(np.einsum("f,fkn->kn", mean, step))
    return {
        f"readout.{recording.session}.weight": _tensor(values.reshape(len(back), -1)[:, exists]),
        f"readout.{recording.session}.bias": _tensor(start.reshape(-1)[exists]),
    }


def _explained(values: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    return 1.0 - float(((values - predicted) ** 2).sum()) / float((values**2).sum())


def _tensor(values: NDArray[np.float64]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).copy())
