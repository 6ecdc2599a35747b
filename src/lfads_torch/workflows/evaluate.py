"""Evaluate: every score of a run on one set of trials, each with its interval and its caveat."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.recording import TRAIN, VALID
from lfads_torch.errors import DataError, RunError
from lfads_torch.workflows.sample import as_many_as_fit
from lfads_torch.workflows.scores.record import Evaluation, Score, to_json, to_rows
from lfads_torch.workflows.scores.trials import Case, Protocol, ScoredTrials, Signals

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.stored import TrainedModel

__all__ = [
    "Evaluation",
    "Protocol",
    "Request",
    "Score",
    "WhichSet",
    "evaluate",
    "evaluate_run",
    "recording_for",
    "to_json",
    "to_rows",
]

WhichSet = Literal["train", "valid", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which trials of what to score, and how."""

    which_set: WhichSet
    recording: Recording | None = None  # None: the one that the run was trained on
    rates_path: Path | None = None  # None: the run's own rates file if it fits
    member: int | None = None  # None: the run's best
    ensemble: int | None = None  # models whose rates are averaged; None: as the run's settings say
    trial_ids: NDArray[Any] | None = None  # of the set, only these (integers or text)
    protocol: Protocol = field(default_factory=Protocol)


def evaluate_run(
    run: RunFolder,
    *,
    which_set: WhichSet,
    recording: Recording | None = None,
    rates_path: Path | None = None,
    ensemble: int | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008 - frozen
) -> Evaluation:
    """All scores of the run's best member, or of an ensemble's rates, on one set of trials.

    Rates come from `rates_path`, or from the run's own rates file where that fits, or are inferred
    anew. A recording that the run has not seen may have a split; without one only `all` can be
    asked for. Decoders and condition averages are always those of training trials: the recording's
    own, or the run's where the recording has none. Raises DataError for a set without trials.
    """
    return evaluate(
        run,
        Request(
            which_set=which_set,
            recording=recording,
            rates_path=rates_path,
            ensemble=ensemble,
            protocol=protocol,
        ),
    )


def evaluate(run: RunFolder, request: Request) -> Evaluation:
    """As `evaluate_run`; also for one member, or for some of the set's trials."""
    from lfads_torch.workflows.infer import n_posterior_samples
    from lfads_torch.workflows.stored import betas_of

    source = _source(run, request)
    every = _positions(source, request)
    positions = _sampled(run, source, every)
    case = _case(run, source, positions, request)
    return Evaluation(
        run=run.path.name,
        member=source.model.member,
        ensemble_members=source.ensemble_members,
        set=case.set_name,
        session=source.recording.session,
        is_new_recording=source.is_new,
        trial_ids=source.recording.trial_ids[positions],
        scores=tuple(_scores(case)),
        beta=betas_of(source.model, run.read_record()),
        rates_from="inferred" if source.rates is None else source.rates.name,
        protocol={
            **asdict(request.protocol),
            "n_posterior_samples": n_posterior_samples(source.model.settings),
        },
        notes=(
            *_notes(source, request),
            *_ensemble_notes(run, source, request),
            *_notes_of_sample(len(positions), len(every)),
        ),
    )


def _scores(case: Case) -> list[Score]:
    from lfads_torch.workflows.scores.averages import psth_scores
    from lfads_torch.workflows.scores.baselines import baseline_scores
    from lfads_torch.workflows.scores.behaviour import behaviour_scores
    from lfads_torch.workflows.scores.bits import bits_scores
    from lfads_torch.workflows.scores.inputs import input_scores
    from lfads_torch.workflows.scores.truth import truth_scores

    kinds = (
        bits_scores, truth_scores, behaviour_scores, psth_scores, input_scores, baseline_scores,
    )  # fmt: skip
    return [score for kind in kinds for score in kind(case)]


@dataclass(frozen=True)
class Source:
    """A recording in the model's order of units, the model on it, and a rates file that fits."""

    recording: Recording
    models: tuple[TrainedModel, ...]  # whose rates are averaged, the best one first
    is_new: bool
    rates: Path | None

    @property
    def model(self) -> TrainedModel:
        return self.models[0]

    @property
    def ensemble_members(self) -> tuple[int, ...]:
        """Empty for a single model."""
        return tuple(each.member for each in self.models) if len(self.models) > 1 else ()

    def trials(self, positions: NDArray[np.int64]) -> ScoredTrials:
        from lfads_torch.workflows.families import counts_to_rates
        from lfads_torch.workflows.scores.signals import inferred_signals, stored_signals

        def fetch() -> Signals:
            if self.rates is None:
                return inferred_signals(self.models, positions)
            return stored_signals(self.rates, positions, self.model)

        return ScoredTrials(
            recording=self.recording.take_trials(positions).in_memory(),
            first_bin=self.model.settings.model.first_generated_bin,
            count_factor=1.0 / counts_to_rates(self.model, self.recording.bin_width_s),
            fetch=fetch,
        )

    def alone(self, positions: NDArray[np.int64]) -> ScoredTrials | None:
        """As the best model infers them without the others; None where there are no others."""
        if len(self.models) == 1:
            return None
        return replace(self, models=self.models[:1], rates=None).trials(positions)


def recording_for(run: RunFolder, given: Recording | None) -> tuple[Recording, bool]:
    """The recording to evaluate with the split that counts, and whether the run has not seen it."""
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.data.split_file import read_split
    from lfads_torch.workflows.stored import read_recording_of

    if given is None:
        return read_recording_of(run), False
    if fingerprint(given) != run.read_record().data_fingerprint:
        return given, True
    # The run's split decides which of its trials it has seen, whatever the file says now.
    return given.with_split(read_split(run.split_path, given)), False


def _source(run: RunFolder, request: Request) -> Source:
    from lfads_torch.workflows.device import memory_errors
    from lfads_torch.workflows.ensemble import load_ensemble
    from lfads_torch.workflows.scores.signals import misfit

    run.require("settings.yaml", "split.json", "model.json", "checkpoints/best.safetensors")
    recording, is_new = recording_for(run, request.recording)
    with memory_errors():
        models = load_ensemble(run, recording, member=request.member, n_models=request.ensemble)
    model = models[0]
    recording = model.card.aligned(recording)
    if request.rates_path is not None:
        reason = misfit(request.rates_path, models, recording)
        if reason is not None:
            raise DataError(
                f"{request.rates_path}: these rates cannot be scored: {reason}. Write them anew "
                "with `lfads infer`, or leave the file out: rates are then inferred."
            )
        return Source(recording, models, is_new, request.rates_path)
    fits = not is_new and misfit(run.rates_path, models, recording) is None
    return Source(recording, models, is_new, run.rates_path if fits else None)


def _positions(source: Source, request: Request) -> NDArray[np.int64]:
    recording, name = source.recording, request.which_set
    if recording.split is None:
        if name != "all":
            raise DataError(
                f"{recording.session}: the recording carries no split, so it is not known which "
                f"trials are its {name} trials. Ask for the set all, or divide the trials with "
                "`lfads split`."
            )
        positions = np.arange(recording.n_trials)
    else:
        positions = recording.split.trials(name)
    if request.trial_ids is not None:
        wanted = set(request.trial_ids.tolist())
        ids = recording.trial_ids[positions].tolist()
        positions = positions[np.array([one in wanted for one in ids], dtype=np.bool_)]
    if not len(positions):
        raise DataError(
            f"{recording.session}: the {name} set has no trials ({_set_sizes(recording)}). "
            "Evaluate another set, or divide the trials anew with `lfads split` (--test-fraction "
            "gives a test set) and fit again."
        )
    return positions


def _set_sizes(recording: Recording) -> str:
    if recording.split is None:
        return f"{counted(recording.n_trials, 'trial')} without a split"
    names = ("train", "valid", "test", "unused")
    return ", ".join(f"{name}: {len(recording.split.trials(name))}" for name in names)


def _case(run: RunFolder, source: Source, positions: NDArray[np.int64], request: Request) -> Case:
    recording, model = source.recording, source.model
    train, reason = _training_trials(run, source, request)
    bins = np.arange(model.settings.model.first_generated_bin, model.card.n_bins)
    split = recording.split
    is_selected = not source.is_new and split is not None and VALID in split.trial_set[positions]
    return Case(
        model=model,
        others=source.models[1:],
        positions=positions,
        evaluated=source.trials(positions),
        alone=source.alone(positions),
        train=train,
        no_train_reason=reason,
        is_encoded=np.array(model.card.is_encoded),
        is_encoded_bin=bins < model.card.n_encoded_bins,
        protocol=request.protocol,
        set_name="new" if split is None else request.which_set,
        is_used_for_selection=bool(is_selected),
    )


def _training_trials(
    run: RunFolder, source: Source, request: Request
) -> tuple[ScoredTrials | None, str]:
    """The trials that decoders and averages are fitted on; or None and why there are none."""
    split = source.recording.split
    if split is not None and len(split.trials(TRAIN)):
        return source.trials(_sampled(run, source, split.trials(TRAIN))), ""
    if not source.is_new:
        return None, "the run has no training trials"
    try:
        own = _source(run, replace(request, recording=None, rates_path=None))
    except RunError as error:
        return None, f"no training trials to fit on: {error}"
    assert own.recording.split is not None  # the run's own recording always carries its split
    return own.trials(_sampled(run, own, own.recording.split.trials(TRAIN))), ""


def _sampled(run: RunFolder, source: Source, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """As many as the run scores at once; all of a new recording that is in memory."""
    if source.is_new and source.recording.in_file is None:
        return positions
    return as_many_as_fit(source.recording, positions, run.read_record().n_trials_at_once)


def _notes_of_sample(n_scored: int, n_trials: int) -> list[str]:
    if n_scored == n_trials:
        return []
    return [
        f"scores are of {n_scored} of the {n_trials} trials, spread evenly over them, and fitted "
        "on as many training trials at most: counts are read by trial, and so many fit in memory"
    ]


def _notes(source: Source, request: Request) -> tuple[str, ...]:
    found = []
    split = source.recording.split
    if source.is_new:
        found.append("a recording that the run has not seen")
    elif request.which_set in ("train", "all"):
        found.append("the model was trained on trials of this set")
    if not source.is_new and request.which_set in ("valid", "all"):
        found.append("validation trials chose the best epoch: their figures are used for selection")
    if split is not None and not source.is_new and not len(split.trials(VALID)):
        found.append("this run had no validation trials: its last epoch was kept")
    return tuple(found)


def _ensemble_notes(run: RunFolder, source: Source, request: Request) -> list[str]:
    from lfads_torch.workflows.ensemble import ensemble_note

    asked = (
        source.model.settings.inference.ensemble if request.ensemble is None else request.ensemble
    )
    found = []
    if source.ensemble_members:
        listed = ", ".join(str(member) for member in source.ensemble_members)
        found.append(
            f"rates are averaged over members {listed}; what else is inferred, such as factors and "
            f"inputs, is of member {source.model.member} alone"
        )
    chosen = ensemble_note(run, asked, request.recording) if request.member is None else None
    return [*found, *([chosen] if chosen else [])]
