"""Infer: a trained run and a recording to `rates.nc`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.workflows.families import (
    COUNTS_UNIT,
    counts_to_rates,
    is_spiking_unit,
    unit_observations,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.posterior import PosteriorOptions
    from lfads_torch.outputs.rates_file import RatesChunk, RatesHeader
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.settings import InferenceSettings
    from lfads_torch.workflows.ensemble import EnsembleAverages
    from lfads_torch.workflows.stored import TrainedModel

# What a chunk holds for each bin of a trial.
BY_BIN = (
    "rates", "rate_posterior_std", "rate_member_std", "factors", "inferred_input_mean",
    "inferred_input_std", "generator_states",
)  # fmt: skip

__all__ = [
    "content_of", "infer_to_file", "merge_inferred", "n_posterior_samples", "posterior_options",
    "to_ends",
]  # fmt: skip


def infer_to_file(
    run: RunFolder,
    recording: Recording,
    target: Path,
    *,
    is_new: bool,
    member: int | None = None,
    inference: InferenceSettings | None = None,
) -> Path:
    """Write the posterior averages of every trial of `recording`, in its own order.

    `is_new`: the run has not seen this recording, and its trials are marked so. `inference`
    stands for the run's own settings of that name; where it wants an ensemble, rates are those of
    several models, unless one `member` is asked for.
    """
    from lfads_torch.outputs.rates_file import RatesWriter
    from lfads_torch.workflows.device import memory_errors
    from lfads_torch.workflows.ensemble import ensemble_averages, load_ensemble
    from lfads_torch.workflows.model_card import read_card

    n_models = None if inference is None or member is not None else inference.ensemble
    content = content_of(run, recording, is_new=is_new)
    recording = read_card(run).padded(recording)
    with memory_errors():
        models = load_ensemble(run, recording, member=member, n_models=n_models)
        if inference is not None:
            models = tuple(_with_inference(model, inference) for model in models)
        best = models[0]
        order = best.card.positions(recording)  # of the user's units in the model's
        options, trials = posterior_options(best), best.assembly.trials
        header = _header(run, models, recording, is_new=is_new)
        header = replace(header, attributes={**header.attributes, "data_fingerprint": content})
        with RatesWriter(target, header) as writer:
            for averages in ensemble_averages(models, trials, options):
                chunk = _chunk(averages, best, recording, order)
                writer.write(averages.best.start, _to_ends(chunk, averages.best.start, recording))
    return target


def content_of(run: RunFolder, recording: Recording, *, is_new: bool) -> str:
    """The fingerprint of a recording as it was given; a run knows that of its own."""
    from lfads_torch.data.fingerprint import fingerprint

    known = None if is_new else run.read_record().data_fingerprint
    return known or fingerprint(recording)


def _with_inference(model: TrainedModel, inference: InferenceSettings) -> TrainedModel:
    settings = replace(model.settings, inference=inference)
    return replace(model, assembly=replace(model.assembly, settings=settings))


def n_posterior_samples(settings: Settings) -> int:
    """How many samples are averaged; 0, the mean alone, where the model is not variational."""
    return settings.inference.n_samples if settings.model.variational else 0


def posterior_options(model: TrainedModel, *, n_samples: int | None = None) -> PosteriorOptions:
    """The run's inference settings, with another number of samples where one is given."""
    from lfads_torch.outputs.posterior import PosteriorOptions

    settings = model.settings
    return PosteriorOptions(
        n_samples=n_posterior_samples(settings) if n_samples is None else n_samples,
        seed=settings.run.seed,
        batch_size=settings.inference.batch_size,
        has_generator_states=settings.inference.save_generator_states,
    )


def _chunk(
    found: EnsembleAverages, model: TrainedModel, recording: Recording, order: NDArray[np.int64]
) -> RatesChunk:
    from lfads_torch.outputs.rates_file import RatesChunk

    factor, averages = _factor(model, recording.bin_width_s), found.best
    has_samples = n_posterior_samples(model.settings) > 1
    has_std = model.settings.model.variational
    states = averages.generator_states
    return RatesChunk(
        rates=_array(found.mean_counts * factor)[..., order],
        rate_posterior_std=_array(averages.mean_counts_std * factor)[..., order]
        if has_samples
        else None,
        rate_member_std=None
        if found.member_std is None
        else _array(found.member_std * factor)[..., order],
        factors=_array(averages.factors),
        inferred_input_mean=None if averages.input_mean is None else _array(averages.input_mean),
        inferred_input_std=_array(averages.input_std)
        if has_std and averages.input_std is not None
        else None,
        initial_condition_mean=_array(averages.initial_condition_mean),
        initial_condition_std=_array(averages.initial_condition_std) if has_std else None,
        generator_initial_state=_array(averages.generator_start),
        generator_states=None if states is None else _array(states),
    )


def _to_ends(chunk: RatesChunk, start: int, recording: Recording) -> RatesChunk:
    """The same with NaN beyond the end of each trial."""
    if recording.n_trial_bins is None:
        return chunk

    def ended(name: str) -> NDArray[np.floating[Any]] | None:
        values: NDArray[np.floating[Any]] | None = getattr(chunk, name)
        return None if values is None else to_ends(values, recording, start)

    values: dict[str, Any] = {name: ended(name) for name in BY_BIN}  # fields of a RatesChunk
    return replace(chunk, **values)


def _factor(model: TrainedModel, bin_width_s: float) -> Tensor:
    """The factor from the observation's mean per bin to what is reported, of each unit."""
    import torch

    task = model.assembly.task
    factor = counts_to_rates(model, bin_width_s)
    return torch.as_tensor(factor, dtype=task.dtype, device=task.device)


def to_ends(
    values: NDArray[np.floating[Any]], recording: Recording, start: int = 0
) -> NDArray[np.floating[Any]]:
    """Signals [B, T, D] of the trials from `start` on with NaN beyond the end of each."""
    if recording.n_trial_bins is None:
        return values
    n_trials, n_generated = values.shape[:2]
    ends = recording.n_trial_bins[start : start + n_trials] - (recording.n_bins - n_generated)
    is_own = np.arange(n_generated) < ends[:, None]
    return np.where(is_own[..., None], values, np.float32(np.nan))


def _array(value: Tensor) -> NDArray[np.float32]:
    return value.float().cpu().numpy()


def _header(
    run: RunFolder, models: Sequence[TrainedModel], recording: Recording, *, is_new: bool
) -> RatesHeader:
    from lfads_torch import __version__
    from lfads_torch.outputs.rates_file import RatesHeader
    from lfads_torch.workflows.stored import betas_of

    model = models[0]
    settings, card, start = model.settings, model.card, model.settings.model.first_generated_bin
    beta, split = betas_of(model, run.read_record()), model.assembly.split
    n_generated, order = card.n_bins - start, card.positions(recording)
    trial_set = np.full(recording.n_trials, "new") if is_new else split.trial_set
    return RatesHeader(
        trial_ids=recording.trial_ids,
        unit_ids=recording.unit_ids,
        time_s=recording.time_s[start:],
        trial_set=trial_set,
        condition=recording.condition,
        n_trial_bins=None if recording.n_trial_bins is None else recording.n_trial_bins - start,
        session_bin=None if recording.chops is None else recording.chops.start_bins + start,
        is_encoded=np.array(card.is_encoded)[order],
        is_encoded_bin=start + np.arange(n_generated) < card.n_encoded_bins,
        n_factors=settings.model.n_factors,
        n_inferred_inputs=settings.model.n_inferred_inputs,
        n_initial_condition=settings.model.initial_condition_size,
        n_generator_units=settings.model.generator_size,
        has_rate_posterior_std=n_posterior_samples(settings) > 1,
        has_latent_std=settings.model.variational,
        has_rate_member_std=len(models) > 1,
        has_generator_states=settings.inference.save_generator_states,
        observation=np.array([family.name for family in unit_observations(model)])[order],
        rate_unit=np.where(is_spiking_unit(model), "spikes/s", COUNTS_UNIT)[order],
        attributes={
            "input_prior_std": _input_prior_std(model),
            "causal": int(settings.model.is_causal),
            "bin_width_s": recording.bin_width_s,
            "run": run.path.name,
            "member": model.member,
            "ensemble_members": [each.member for each in models] if len(models) > 1 else None,
            "n_posterior_samples": n_posterior_samples(settings),
            "beta_initial_condition": beta.get("initial_condition"),
            "beta_inputs": beta.get("inputs"),
            "observation": model.assembly.task.observations[0].name,
            "session": recording.session,
            **_session_attributes(recording, start),
            "version": __version__,
        },
    )


def _session_attributes(recording: Recording, ic_bins: int) -> dict[str, int | float]:
    """Of chops: what merging them needs beside where they begin."""
    chops = recording.chops
    if chops is None:
        return {}
    return {
        "n_session_bins": chops.n_session_bins,
        "session_start_s": chops.session_start_s,
        "chop_overlap_bins": max(chops.overlap_bins - ic_bins, 0),
    }


def merge_inferred(
    rates_path: Path, recording: Recording, settings: Settings, target: Path
) -> Path | None:
    """The rates of a session's chops, merged; None where there is nothing to merge, or no wish."""
    from lfads_torch.outputs.merged_file import SessionBehaviour, write_merged

    ramp = settings.inference.merge
    if recording.chops is None or ramp == "off":
        return None
    behaviour = SessionBehaviour(
        signals=recording.behaviour,
        units=recording.behaviour_units,
        first_bin=settings.model.first_generated_bin,
    )
    return write_merged(rates_path, target, ramp=ramp, behaviour=behaviour)


def _input_prior_std(model: TrainedModel) -> list[float] | None:
    """The learned stationary standard deviation of each inferred input; None without any."""
    prior = model.assembly.task.priors.inputs
    if prior is None:
        return None
    named = model.assembly.task.named(model.weights)
    std: list[float] = prior.variance(named)[0].sqrt().tolist()
    return std
