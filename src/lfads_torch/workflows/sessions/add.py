"""A session added to a trained model: only its read-in and read-out are trained.

Everything else keeps the bits of the run's best model. The read-in starts from the ridge regression
of the new session's condition averages onto what the encoders are used to: the mean over the
model's sessions of their condition averages through their trained read-ins. The read-out starts
from the regression of its averages onto the condition averages of the model's factors, through the
link at the training mean. Where conditions are not shared, the average trial stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.data.recording import TRAIN, UNUSED
from lfads_torch.errors import DataError, RunError, SettingsError
from lfads_torch.workflows.assemble import Start
from lfads_torch.workflows.fit import FitOptions, Observer, Quiet, prepare, train_anew
from lfads_torch.workflows.sessions.added_start import START, regressed_starts, shared_starts

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = [
    "AddOptions",
    "add_session",
    "names_of_training",
    "settings_to_add_with",
    "start_of_added",
]

TRAINED = ("readin.", "readout.")


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """How a session is added."""

    overrides: tuple[str, ...] = ()  # settings of training, section.key=value
    n_trials: int | None = None  # few-shot: training trials that are used; None: all
    member: int | None = None  # whose weights; None: the run's best model


def add_session(
    run: RunFolder,
    recording: Recording,
    folder: Path,
    *,
    asked: AddOptions = AddOptions(),
    options: FitOptions | None = None,
    observer: Observer | None = None,
) -> RunFolder:
    """Train the read-in and read-out of a new session into a run of its own.

    The run given is only read. The new one has the weights of its best model and a read-in and
    read-out for this session; it can do whatever a run of one recording can. Raises RunError where
    the model has no read-ins or is not finished, DataError where the recording does not fit it.
    """
    watcher = observer or Quiet()
    settings, member = settings_to_add_with(run, asked), _member(run, asked.member)
    _require_fit(run, recording)
    prepared = prepare(recording, settings, watcher, adapt=lambda settings, _: settings)
    (divided,) = prepared.recordings
    divided = _few(divided, asked.n_trials, settings.run.seed)
    prepared = replace(
        prepared, recordings=(divided,), settings=_same_model(prepared.settings, settings)
    )
    regressed = regressed_starts(run, divided, settings, member, watcher)
    options = replace(
        options or FitOptions(),
        added_to={
            "run": str(run.path.resolve()), "member": member, "n_trials": asked.n_trials,
            "trained": list(TRAINED),
        },
        starts=shared_starts(run, member) | regressed,
    )  # fmt: skip
    return train_anew(prepared, folder, options=options, observer=watcher)


def start_of_added(run: RunFolder) -> Start:
    """Where the training of an added session starts, as its folder has stored it."""
    from safetensors.torch import load_file

    from lfads_torch.model.weights import GivenStart

    run.require(START)
    stored = load_file(run.path / START)
    given = {name: GivenStart(values, values.isfinite()) for name, values in stored.items()}
    return Start(given=given, only=TRAINED)


def settings_to_add_with(run: RunFolder, asked: AddOptions) -> Settings:
    """The run's, as the member asked for had them, with ramps that are over from the start."""
    from lfads_torch.config.check import replace_values
    from lfads_torch.config.read import read_settings
    from lfads_torch.config.tree import flatten
    from lfads_torch.workflows.searched_values import values_of_member
    from lfads_torch.workflows.stored import read_settings_of

    record = run.read_record()
    if record.status != "finished":
        raise RunError(
            f"{run.path}: the run is {record.status}; a session is added to a trained model. Go "
            f"on with `lfads resume {run.path}` first."
        )
    settings = values_of_member(run, read_settings_of(run), _member(run, asked.member))
    if not settings.sessions.readin_size:
        raise RunError(
            f"{run.path}: this model has no read-in, its encoders see the units of its recording "
            "themselves, so that no other units can be given to them. Fit it with "
            "--set sessions.readin_size=10 (or with several recordings), then add sessions."
        )
    beginning = {
        "run.n_seeds": 1, "loss.kl_ramp_start": 0, "loss.kl_ramp_increase": 0,
        "loss.l2_ramp_start": 0, "loss.l2_ramp_increase": 0, "sessions.train_readin": True,
        "sessions.train_readout": True, "sessions.batches": "mixed",
    }  # fmt: skip
    given = names_of_training(asked.overrides)
    read = flatten(read_settings(run.settings_path, overrides=asked.overrides))
    return replace_values(settings, {**beginning, **{name: read[name] for name in given}})


def names_of_training(overrides: tuple[str, ...]) -> list[str]:
    """Names of the settings given. Raises SettingsError for what belongs to the model itself."""
    given = [text.partition("=")[0].strip() for text in overrides]
    fixed = [
        name for name in given
        if name.startswith(("model.", "loss.observation", "search.", "sessions.readin_size"))
    ]  # fmt: skip
    if fixed:
        raise SettingsError(
            f"{fixed[0]} is part of the model that the session is added to, and stays as it is. "
            "Settings of training, augmentation, split, inference and run can be given."
        )
    return given


def _same_model(settings: Settings, before: Settings) -> Settings:
    """What was adapted to the new recording is not to move what the model was trained with."""
    return replace(settings, model=before.model, loss=before.loss, sessions=before.sessions)


def _member(run: RunFolder, asked: int | None) -> int:
    from lfads_torch.workflows.kept_models import kept_models

    there = [model.member for model in kept_models(run)]
    if asked is None:
        return there[0]
    if asked not in there:
        raise RunError(f"{run.path}: there is no member {asked}; there are {sorted(there)}.")
    return asked


def _require_fit(run: RunFolder, recording: Recording) -> None:
    """Raise DataError where bins, alignment or inputs are not those of the model."""
    from lfads_torch.workflows.model_card import read_card
    from lfads_torch.workflows.sessions.folder import session_runs

    named = run.read_record().sessions
    card = read_card(session_runs(run)[0])
    external, of_trial = recording.external_inputs, recording.trial_inputs
    found = {
        "bins wide, s": (recording.bin_width_s, card.bin_width_s),
        "bins per trial": (recording.n_bins, card.n_bins),
        "start, s from the event": (recording.start_s, card.start_s),
        "external inputs": (0 if external is None else external.shape[2], card.n_external_inputs),
        "trial inputs": (0 if of_trial is None else of_trial.shape[1], card.n_trial_inputs),
    }
    for what, (own, needed) in found.items():
        if abs(own - needed) > 1e-6 * max(1.0, abs(needed)):
            raise DataError(
                f"{recording.session}: {what} is {own:g}; the model of {run.path} was trained with "
                f"{needed:g}. Prepare the new session as the others were (`lfads prepare`)."
            )
    if recording.session in (named or {card.session: ""}):
        raise DataError(
            f"{recording.session!r} is a session of {run.path} already. Give the new one another "
            "name with --session NAME, or infer it with `lfads infer`."
        )


def _few(recording: Recording, n_trials: int | None, seed: int) -> Recording:
    """With so many training trials, drawn evenly over conditions; the others are unused."""
    if n_trials is None or recording.split is None:
        return recording
    train = recording.split.trials(TRAIN)
    if not 1 <= n_trials <= len(train):
        raise SettingsError(
            f"n_trials (--trials) is {n_trials}; the new session has {len(train)} training "
            "trials, so 1 to "
            f"{len(train)} is needed."
        )
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = rng.permutation(train)
    if recording.condition is not None:
        drawn = drawn[np.argsort(_place_within(recording.condition[drawn]), kind="stable")]
    is_left = np.isin(np.arange(recording.n_trials), drawn[n_trials:])
    # An array of text keeps the length it was made with: what is assigned would be cut.
    trial_set = np.where(is_left, UNUSED, recording.split.trial_set)
    return recording.with_split(replace(recording.split, trial_set=trial_set))


def _place_within(labels: Sequence[object] | np.ndarray) -> np.ndarray:
    """Of each trial, how many of its condition come before it."""
    seen: dict[object, int] = {}
    place = np.empty(len(labels), dtype=np.int64)
    for n, label in enumerate(np.asarray(labels).tolist()):
        place[n] = seen.get(label, 0)
        seen[label] = place[n] + 1
    return place
