"""`model.json`: what a trained model needs to know about its data to take new recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.atomic import write_text
from lfads_torch.counted import counted
from lfads_torch.errors import DataError, FormatError, RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["ModelCard", "card_of", "read_card", "write_card"]

_FORMAT, _VERSION = "lfads-torch model", 1


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The recording a model was trained on, as far as new recordings must match it."""

    session: str
    bin_width_s: float
    start_s: float
    n_bins: int
    n_encoded_bins: int
    n_external_inputs: int
    unit_ids: tuple[int | str, ...]
    is_encoded: tuple[bool, ...]
    observation: tuple[str, ...] = ()  # family of each unit; (): that of the settings, for all
    shortest_trial_bins: int | None = None  # None: every trial had n_bins
    n_trial_inputs: int = 0

    def padded(self, recording: Recording) -> Recording:
        """The recording with as many bins as the model's, whose trials had lengths of their own.

        Trials as long as any that the model knows are padded; otherwise nothing changes.
        """
        from lfads_torch.data.padding import padded_to

        shortest = self.shortest_trial_bins
        n_bins = recording.n_bins
        if shortest is None or not shortest <= n_bins < self.n_bins:
            return recording
        return padded_to(recording, self.n_bins)

    def aligned(self, recording: Recording) -> Recording:
        """The recording with its units in the model's order.

        Raises DataError where bin width, length, units or external inputs do not fit.
        """
        name = recording.session
        if not np.isclose(recording.bin_width_s, self.bin_width_s, rtol=1e-6):
            raise DataError(
                f"{name}: bins are {recording.bin_width_s:g} s wide; the model was trained on "
                f"{self.bin_width_s:g} s. Bin the spikes again with `lfads prepare`."
            )
        recording = self.padded(recording)
        if recording.n_bins != self.n_bins:
            raise DataError(
                f"{name}: trials have {counted(recording.n_bins, 'bin')}; the model was trained on "
                f"{self.n_bins}. Cut the trials to the same window with `lfads prepare`."
            )
        external = recording.external_inputs
        n_external = 0 if external is None else external.shape[2]
        if n_external != self.n_external_inputs:
            raise DataError(
                f"{name}: there are {n_external} external inputs; the model needs "
                f"{self.n_external_inputs}."
            )
        of_trial = recording.trial_inputs
        n_trial_inputs = 0 if of_trial is None else of_trial.shape[1]
        if n_trial_inputs != self.n_trial_inputs:
            raise DataError(
                f"{name}: there are {n_trial_inputs} trial inputs; the model needs "
                f"{self.n_trial_inputs}."
            )
        return self._with_families(self._in_order(recording))

    def _with_families(self, recording: Recording) -> Recording:
        """The recording, in the model's order, with the families that the model was trained with.

        Raises DataError where it says others itself.
        """
        from lfads_torch.workflows.families import need_same_families

        need_same_families(recording, self.observation)
        own = np.array(self.observation) if self.observation else None
        return replace(recording, observation=own)

    def positions(self, recording: Recording) -> NDArray[np.int64]:
        """Where each unit of an alignable recording stands in the model's order, [N]."""
        position = {unit: n for n, unit in enumerate(self.unit_ids)}
        return np.array([position[_plain(unit)] for unit in recording.unit_ids], dtype=np.int64)

    def _in_order(self, recording: Recording) -> Recording:
        own = [_plain(unit) for unit in recording.unit_ids]
        if own == list(self.unit_ids):
            return recording
        position = {unit: n for n, unit in enumerate(own)}
        missing = [unit for unit in self.unit_ids if unit not in position]
        if missing or len(own) != len(self.unit_ids):
            what = f"lacks {missing[:5]}" if missing else "has units the model does not know"
            raise DataError(
                f"{recording.session}: the recording has {counted(len(own), 'unit')}, the model "
                f"{len(self.unit_ids)}; it {what}. Give the same units (ids decide, in any order)."
            )
        order = np.array([position[unit] for unit in self.unit_ids])
        return recording.take_units(order)


def card_of(recording: Recording, families: Sequence[str] = ()) -> ModelCard:
    """The card of a recording that carries its split; `families` are those of its units."""
    split = recording.split
    if split is None:
        raise DataError(f"{recording.session}: the recording carries no split; split it first.")
    external, of_trial = recording.external_inputs, recording.trial_inputs
    return ModelCard(
        session=recording.session,
        bin_width_s=float(recording.bin_width_s),
        start_s=float(recording.start_s),
        n_bins=recording.n_bins,
        n_encoded_bins=split.n_encoded_bins,
        n_external_inputs=0 if external is None else int(external.shape[2]),
        n_trial_inputs=0 if of_trial is None else int(of_trial.shape[1]),
        unit_ids=tuple(_plain(unit) for unit in recording.unit_ids),
        is_encoded=tuple(bool(seen) for seen in split.is_encoded),
        observation=tuple(families),
        shortest_trial_bins=None
        if recording.n_trial_bins is None
        else int(recording.n_trial_bins.min()),
    )


def write_card(run: RunFolder, card: ModelCard) -> None:
    """Write `model.json` whole or not at all."""
    content = {"format": _FORMAT, "format_version": _VERSION, **asdict(card)}
    write_text(run.path / "model.json", json.dumps(content, indent=1))


def read_card(run: RunFolder) -> ModelCard:
    """Raises RunError where the file is missing, FormatError where it is not of this kind."""
    path = Path(run.path) / "model.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))  # JSON values
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read ({error}). Is this a run folder, and was it copied whole?"
        ) from error
    found = content if isinstance(content, dict) else {}
    version = found.pop("format_version", None)
    if found.pop("format", None) != _FORMAT or not isinstance(version, int) or version > _VERSION:
        raise FormatError(
            f"{path} is no {_FORMAT!r} of version {_VERSION} at most. Was it changed? A newer file "
            "needs a newer lfads-torch."
        )
    try:
        found |= {name: tuple(found[name]) for name in ("unit_ids", "is_encoded")}
        found["observation"] = tuple(found.get("observation", ()))
        return ModelCard(**found)
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{path} is incomplete or was changed ({error}). Restore it from a copy, or fit again."
        ) from error


def _plain(unit: Any) -> int | str:  # a NumPy scalar of whatever type the file had
    return int(unit) if isinstance(unit, (int, np.integer)) else str(unit)
