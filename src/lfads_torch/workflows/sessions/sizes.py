"""What several recordings are together: their names, their sizes, the size of a read-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording

__all__ = ["joint_sizes", "require_one_model", "with_readin_size"]


def require_one_model(recordings: Sequence[Recording]) -> None:
    """Raise DataError unless these recordings can share a model: names, bins, external inputs."""
    from lfads_torch.analysis.alignment.averages import require_alignment

    names = [recording.session for recording in recordings]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{names.count(name)} recordings have the session name {name!r}; every session of "
                "a model needs its own, for its read-in and read-out go by it. Name them with "
                "--session-names, one for each file (in Python: a mapping of names to counts, or "
                "Recording.session)."
            )
    require_alignment(recordings)
    _require_same_inputs(recordings)


def joint_sizes(recordings: Sequence[Recording], settings: Settings) -> DataSizes:
    """Trials of all sessions; units as the mean over training trials of what a trial has.

    A trial of one session is then worth, in the loss, what these sizes say of the mean trial.
    """
    from lfads_torch.config.sizes import sizes_of

    each = [sizes_of(recording) for recording in recordings]
    if len(each) == 1:
        return each[0]
    n_train = sum(sizes.n_trials_train for sizes in each)
    share = [sizes.n_trials_train / max(n_train, 1) for sizes in each]

    def mean(name: str) -> int:
        values = [float(getattr(sizes, name)) for sizes in each]
        return round(sum(w * value for w, value in zip(share, values, strict=True)))

    _require_same_bins(recordings)
    alternates = settings.sessions.batches == "alternating"
    return replace(
        each[0],
        n_trials_train=n_train,
        n_trials_valid=sum(sizes.n_trials_valid for sizes in each),
        n_units=mean("n_units"),
        n_encoded_units=mean("n_encoded_units"),
        present_share=sum(w * sizes.present_share for w, sizes in zip(share, each, strict=True)),
        trial_share=sum(w * sizes.trial_share for w, sizes in zip(share, each, strict=True)),
        shortest_trial_bins=min(
            (s.shortest_trial_bins for s in each if s.shortest_trial_bins is not None),
            default=None,
        ),
        alternating_trials=tuple(sizes.n_trials_train for sizes in each) if alternates else (),
    )


def with_readin_size(settings: Settings, recordings: Sequence[Recording]) -> Settings:
    """The size of the read-ins as a number: 0 only where one recording is read without."""
    if settings.sessions.readin_size or len(recordings) == 1:
        return settings
    n_encoded = sum(
        int(recording.split.is_encoded.sum())
        for recording in recordings
        if recording.split is not None
    )
    size = max(1, min(settings.model.n_factors, n_encoded))
    return replace(settings, sessions=replace(settings.sessions, readin_size=size))


def _require_same_bins(recordings: Sequence[Recording]) -> None:
    found = {
        recording.session: recording.split.n_encoded_bins
        for recording in recordings
        if recording.split is not None
    }
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in found.items())
        raise DataError(
            f"the sessions' splits show the encoder different numbers of bins ({listed}); one "
            "number is needed for all. Divide them alike (split.n_forward_bins; `lfads split "
            "--forward-bins`)."
        )


def _require_same_inputs(recordings: Sequence[Recording]) -> None:
    for name, axis in (("external_inputs", 2), ("trial_inputs", 1)):
        values = {each.session: getattr(each, name) for each in recordings}
        found = {name: 0 if v is None else int(v.shape[axis]) for name, v in values.items()}
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{session} {n}" for session, n in found.items())
            raise DataError(
                f"the sessions have different numbers of {name.replace('_', ' ')} ({listed}), but "
                "one model takes them. Give all the same, or none."
            )
