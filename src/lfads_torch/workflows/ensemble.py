"""Ensembles: rates of several models of a run, averaged. Nothing else is.

Factors, inferred inputs and initial conditions of two models have axes of their own, so that no
average over models means anything; rates are in the units of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.choose_ensemble import candidates_of, chosen_models
from lfads_torch.workflows.kept_models import every_model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.posterior import PosteriorAverages, PosteriorOptions
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.training.filed import Trials
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["EnsembleAverages", "ensemble_averages", "ensemble_note", "load_ensemble"]


@dataclass(frozen=True, kw_only=True)
class EnsembleAverages:
    """A chunk of trials: everything of the best model, and the rates of all models."""

    best: PosteriorAverages
    mean_counts: Float[Tensor, "B T N"]  # mean over models of their posterior means, per bin
    member_std: Float[Tensor, "B T N"] | None  # their spread (population); None for one model


def load_ensemble(
    run: RunFolder, recording: Recording, *, member: int | None = None, n_models: int | None = None
) -> tuple[TrainedModel, ...]:
    """The models to average, the best first; all share the recording's trials on the device.

    One model where a member is asked for, else `n_models` at most (None: as the run's
    `inference.ensemble` says): those that forward selection on validation trials takes
    (`choose_ensemble`); `ensemble_note` says which and why. DataError where values of the
    recording cannot come from the observation that the models were trained with.
    """
    from lfads_torch.workflows.families import check_families_of_model
    from lfads_torch.workflows.model_card import read_card
    from lfads_torch.workflows.stored import load_models, read_settings_of

    check_families_of_model(recording, read_card(run), read_settings_of(run).loss)
    if member is not None:
        if n_models is not None and n_models > 1:
            raise SettingsError(
                f"member {member} is one model, and an ensemble of {n_models} averages several. "
                "Leave one of them out."
            )
        return load_models(run, recording, (member,))
    n_wanted = read_settings_of(run).inference.ensemble if n_models is None else n_models
    if n_wanted < 1:
        raise SettingsError(
            f"an ensemble of {n_wanted} models; a whole number of at least 1 is needed."
        )
    return load_models(run, recording, _members(run, n_wanted, recording))


def _members(run: RunFolder, n_wanted: int, recording: Recording) -> tuple[int, ...]:
    if n_wanted == 1:
        return (candidates_of(run)[0].member,)
    return chosen_models(run, recording).members[:n_wanted]


def ensemble_note(run: RunFolder, n_wanted: int, recording: Recording | None = None) -> str | None:
    """Which models an ensemble of `n_wanted` at most averages, and why; None for a single one.

    `recording` is the run's own, for a run whose recording has moved.
    """
    if n_wanted <= 1:
        return None
    asked = f"an ensemble of up to {n_wanted} models was asked for: "
    chosen = chosen_models(run, recording)
    taken, n_kept = chosen.members[:n_wanted], len(chosen.candidates)
    listed, name = _listed(taken), run.path.name
    if n_kept == 1:
        return f"{asked}{name} keeps one alone (member {listed}), nothing is averaged"
    n_valid = len(run.read_split().get("trials", {}).get("valid", ()))
    if not chosen.n_trials and n_valid:
        return (
            f"{asked}{name} has no stored choice and its recording is not at hand to choose by, so "
            f"the models are those of its own rates.nc: {'members' if taken[1:] else 'member'} "
            f"{listed}"
        )
    if not chosen.n_trials:
        return (
            f"{asked}{name} had no validation trials to choose by, so the first {len(taken)} of "
            f"{n_kept} are averaged: members {listed}"
        )
    some = "" if chosen.n_trials == n_valid else f"{chosen.n_trials} of "
    trials = f"{some}the {n_valid} validation trials"
    if len(taken) == 1:
        return (
            f"{asked}of the other {n_kept - 1} that {name} keeps, none improves the likelihood of "
            f"the rates of member {listed} on {trials}, so nothing is averaged"
        )
    gain = chosen.nats[0] - chosen.nats[len(taken) - 1]
    why = "no other improves" if len(taken) < n_wanted else "one after the other as each improved"
    return (
        f"{asked}members {listed} are averaged, of {n_kept} that {name} keeps; {why} the "
        f"likelihood of the mean rates on {trials} ({gain:.2g} nats per entry better there than "
        f"member {taken[0]} alone){_whose(run, taken)}"
    )


def _whose(run: RunFolder, taken: Sequence[int]) -> str:
    """Where members come from that are not the best of their line."""
    known = {model.member: model for model in every_model(run)}
    own = [known[member] for member in taken if not known[member].is_of_line]
    said = ", ".join(f"{m.member} is slot {m.slot}'s own best, of line {m.line}" for m in own)
    return f"; {said}" if said else ""


def _listed(members: Sequence[int]) -> str:
    return ", ".join(str(member) for member in members)


def ensemble_averages(
    models: Sequence[TrainedModel],
    trials: Trials,
    options: PosteriorOptions,
    *,
    is_visible: Bool[Tensor, "B E N"] | None = None,
) -> Iterator[EnsembleAverages]:
    """Chunk by chunk of trials, one model after another; memory does not grow with either.

    A model's numbers are those that it gives alone.
    """
    import torch

    from lfads_torch.outputs.posterior import posterior_averages, trials_per_chunk

    task = models[0].assembly.task
    size = trials_per_chunk(task, options)
    for start in range(0, trials.n_trials, size):
        rows = torch.arange(start, min(start + size, trials.n_trials), device=task.device)
        part = trials.take(rows)
        visible = None if is_visible is None else is_visible[rows]
        found = (
            next(posterior_averages(each.weights, each.member, each.assembly.task, part,
                                    options, is_visible=visible))
            for each in models
        )  # fmt: skip
        yield _averaged(found, start=start)


def _averaged(found: Iterator[PosteriorAverages], *, start: int) -> EnsembleAverages:
    """Mean and spread of the rates by Welford's recurrence, so that one model is held at a time."""
    import torch

    best = replace(next(found), start=start)
    mean = best.mean_counts.double()
    squares = torch.zeros_like(mean)
    n = 1
    for n, each in enumerate(found, start=2):
        change = each.mean_counts.double() - mean
        mean = mean + change / n
        squares = squares + change * (each.mean_counts.double() - mean)
    if n == 1:
        return EnsembleAverages(best=best, mean_counts=best.mean_counts, member_std=None)
    dtype = best.mean_counts.dtype
    return EnsembleAverages(
        best=best, mean_counts=mean.to(dtype), member_std=(squares / n).sqrt().to(dtype)
    )
