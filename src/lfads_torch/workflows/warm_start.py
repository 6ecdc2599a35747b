"""Fit or search from a trained run: its weights where names and shapes agree, the rest as always.

Only weights are taken, and the numbers of plug-ins that belong to them (`warm_numbers`): other
hyperparameters, moments and clocks begin anew. The weights are copied into the new run's folder, so
that it goes on without the run it came from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.model.weights import GivenStart
    from lfads_torch.training.warm_start import Taken
    from lfads_torch.workflows.warm_numbers import Numbers

__all__ = [
    "START",
    "WarmStart",
    "as_warm_start",
    "given_weights",
    "read_start",
    "same_start",
    "start_record",
    "store_start",
    "told",
]

START = "checkpoints/warm_start.safetensors"


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Which weights of which run; `parts` as in `training.train`, none: all."""

    run: Path
    member: int | None = None  # None: the best one
    state: Literal["best", "last"] = "best"
    parts: tuple[str, ...] = ()


def as_warm_start(given: str | os.PathLike[str] | WarmStart | None) -> WarmStart | None:
    """A run's folder as its best weights, all of them."""
    if given is None or isinstance(given, WarmStart):
        return given
    if not isinstance(given, str | os.PathLike):
        raise SettingsError(
            f"start_from is a {type(given).__name__}; the folder of a run is needed, such as the "
            "run_folder_ of an estimator, or a WarmStart."
        )
    return WarmStart(run=Path(given))


def read_start(wanted: WarmStart, recordings: Sequence[Recording], settings: Settings) -> Taken:
    """The weights to start from. Raises RunError or SettingsError where they do not fit."""
    from lfads_torch.training.warm_start import matched
    from lfads_torch.workflows.assemble import layout_of

    run = RunFolder.open(wanted.run, needs=("settings.yaml",))
    layout = layout_of(recordings, settings)
    there, numbers = _weights_and_numbers(run, wanted)
    try:
        taken = matched(there, layout, parts=wanted.parts, where=str(run.path))
    except RunError as error:
        raise RunError(f"{error}{_advice(run, recordings, settings)}") from error
    _require_same_units(run, recordings, taken)
    return replace(taken, numbers=numbers)


def start_record(wanted: WarmStart, taken: Taken, numbers: Numbers) -> dict[str, Any]:  # JSON
    """What `run.json` says of it."""
    return {
        "run": str(Path(wanted.run).resolve()),
        "member": wanted.member,
        "state": wanted.state,
        "parts": list(wanted.parts),
        "taken": list(taken.weights),
        "fresh": list(taken.fresh),
        "left": list(taken.left),
        "numbers_taken": dict(numbers.taken),
        "numbers_left": dict(numbers.left),
    }


def told(record: Mapping[str, Any]) -> str:  # JSON values
    """One line: what was taken, and what was not."""

    def listed(names: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in names)) or "nothing"

    text = f"weights from {record['run']} ({record['state']}): taken {listed(record['taken'])}"
    if record["fresh"]:
        text += f"; starting as always {listed(record['fresh'])}"
    if record["left"]:
        text += f"; left there {listed(record['left'])}"
    for key, begin, end in (
        ("numbers_taken", "numbers of plug-ins taken along ", ""),
        ("numbers_left", "numbers of plug-ins left there ", " (here they are given or searched)"),
    ):
        if record[key]:
            values = ", ".join(f"{name}={value}" for name, value in record[key].items())
            text += f"; {begin}{values}{end}"
    return text


def store_start(run: RunFolder, taken: Taken) -> None:
    """Keep the weights in the new run's folder. Raises OutputError."""
    from safetensors.torch import save

    from lfads_torch.atomic import write_bytes

    write_bytes(run.path / START, save({name: w.contiguous() for name, w in taken.weights.items()}))


def same_start(run: RunFolder) -> WarmStart | None:
    """What another run has to begin with to begin as this one did."""
    record = run.read_record().warm_start
    if not record:
        return None
    return WarmStart(
        run=Path(record["run"]),
        member=record["member"],
        state=record["state"],
        parts=tuple(record["parts"]),
    )


def given_weights(run: RunFolder) -> dict[str, GivenStart]:
    """The starts that `store_start` kept; none where the run began as always."""
    import torch
    from safetensors.torch import load_file

    from lfads_torch.model.weights import GivenStart

    path = run.path / START
    if not run.read_record().warm_start:
        return {}
    if not path.is_file():
        raise RunError(
            f"{path} is not there; the run began from the weights in it. Restore it from a copy, "
            "or begin anew."
        )
    return {
        name: GivenStart(values=value, is_given=torch.ones_like(value, dtype=torch.bool))
        for name, value in load_file(path).items()
    }


def _weights_and_numbers(
    run: RunFolder, wanted: WarmStart
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """One member's weights by name, and its numbers of plug-ins by dotted name."""
    import torch

    from lfads_torch.training.checkpoint import load_extras, read_clock, read_members
    from lfads_torch.workflows.kept_models import kept_models

    cpu, is_best = torch.device("cpu"), wanted.state == "best"
    path = run.best_checkpoint_path if is_best else run.last_checkpoint_path
    members = read_members(path, cpu)
    if wanted.member is not None and wanted.member not in members:
        raise RunError(f"{run.path}: there is no member {wanted.member}; there are {members}.")
    if wanted.member is not None:
        row = members.index(wanted.member)
    elif is_best:
        row = members.index(kept_models(run)[0].member)
    else:
        scores = read_clock(path, "smoothed", cpu)
        row = int(torch.where(scores.isnan(), torch.inf, scores).argmin())
    stored = load_extras(path, cpu, prefix="weights/")
    own = load_extras(path, cpu, prefix="hyperparameters/")
    return (
        {name: value[row].clone() for name, value in stored.items()},
        {name: float(value[row]) for name, value in own.items() if "." in name},
    )


def _advice(run: RunFolder, recordings: Sequence[Recording], settings: Settings) -> str:
    """Which settings of the model or units differ, and what to do."""
    from lfads_torch.config.tree import flatten
    from lfads_torch.workflows.stored import read_settings_of

    here, there = flatten(settings), flatten(read_settings_of(run))
    differing = [
        f"{name} is {there[name]} there and {here[name]} here"
        for name in here
        if name.startswith(("model.", "sessions.readin_size")) and here[name] != there[name]
    ]
    units = "" if differing else _advice_on_units(run, recordings)
    if units:
        return units
    listed = f" Settings that differ: {'; '.join(differing)}." if differing else ""
    return (
        f"{listed} Give the settings of that run (--settings {run.settings_path}), or leave the "
        "parts that differ out (--from-parts; parts of WarmStart in Python)."
    )


def _advice_on_units(run: RunFolder, recordings: Sequence[Recording]) -> str:
    """Where a session has as many units as it had, but not as many encoded; otherwise empty."""
    from lfads_torch.workflows.model_card import card_of, read_card
    from lfads_torch.workflows.sessions.folder import session_runs

    before = {read_card(own).session: own for own in session_runs(run)}
    found, splits = [], []
    for recording in recordings:
        here = card_of(recording)
        own = before.get(here.session) or (run if len(recordings) == len(before) == 1 else None)
        there = here if own is None else read_card(own)
        is_other = sum(there.is_encoded) != sum(here.is_encoded)
        if own is not None and is_other and len(there.unit_ids) == len(here.unit_ids):
            found.append(
                f"{here.session} has {sum(there.is_encoded)} encoded units there and "
                f"{sum(here.is_encoded)} here"
            )
            splits.append(f"--split {own.split_path}")
    if not found:
        return ""
    each = ", for the other recordings theirs" if len(splits) < len(recordings) else ""
    return (
        f" The number of encoded units differs: {'; '.join(found)}. Give the split of that run "
        f"({' '.join(splits)}{each}), or leave the parts that differ out (--from-parts; "
        "parts of WarmStart in Python)."
    )


def _require_same_units(run: RunFolder, recordings: Sequence[Recording], taken: Taken) -> None:
    """Weights of single units mean something only for the same units in the same order."""
    from lfads_torch.workflows.model_card import card_of, read_card
    from lfads_torch.workflows.sessions.folder import session_runs

    cards = {card.session: card for card in map(read_card, session_runs(run))}
    has_readin = any(name.startswith("readin.") for name in taken.weights)
    reads = {"ic_encoder.input", "controller_encoder.input"} & taken.weights.keys()
    for recording in recordings:
        own, session = card_of(recording), recording.session
        of_session = [f"readin.{session}.weight", f"readout.{session}.weight"]
        of_units = [name for name in of_session if name in taken.weights]
        if reads and not has_readin and len(recordings) == 1:
            of_units += sorted(reads)
        before = cards.get(session) or next(iter(cards.values()))
        is_same = (own.unit_ids, own.is_encoded) == (before.unit_ids, before.is_encoded)
        if of_units and not is_same:
            raise RunError(
                f"{run.path}: cannot start from it: {', '.join(of_units)} belong to its units, and "
                f"{session} has others, in another order, or holds out others. Leave these parts "
                'out, such as --from-parts decoder (WarmStart(parts=("decoder",)) in Python), or '
                "give the same units and split."
            )
