"""Which trained models repeat one another: equal settings up to seeds, on one split or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    from lfads_torch.config.tree import SettingValue
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import WhichSet
    from lfads_torch.workflows.model_card import ModelCard

__all__ = ["Group", "Members", "Replicate", "Units", "grouped", "replicates_of"]

Members = Literal["all", "best"]

# What may differ between repetitions of one model: seeds, the split, and what changes no result.
SEEDS = ("run.seed", "run.n_seeds")
WITHOUT_RESULT = (
    "run.device", "run.threads", "run.preset", "run.members_at_once",
    "run.memory_gb",
    "training.checkpoint_interval_s",
    "inference.batch_size", "inference.save_generator_states",
    "inference.ensemble",  # single models are compared
)  # fmt: skip


@dataclass(frozen=True)
class Units:
    """What the encoder sees and where generation starts: the same in a paired comparison."""

    unit_ids: tuple[int | str, ...]
    is_encoded: tuple[bool, ...]
    n_encoded_bins: int
    first_bin: int


@dataclass(frozen=True)
class Replicate:
    """One member of a run, the trials it is scored on, and the seed that tells it from others."""

    run: RunFolder
    member: int
    seed: str
    trial_ids: tuple[Any, ...]  # of the set, integers or text, in the recording's order
    units: Units

    @property
    def name(self) -> str:
        return f"{self.run.path.name}, member {self.member}"


@dataclass(frozen=True)
class Group:
    """Models with equal settings up to seeds."""

    label: str
    replicates: tuple[Replicate, ...]
    settings: dict[str, SettingValue]


def replicates_of(
    run: RunFolder, *, which_set: WhichSet, recording: Recording | None, members: Members
) -> list[Replicate]:
    """The members of a run that are to be compared, each with the trials of the set.

    A search is one model, its best one: its other lines had other hyperparameters.
    """
    from lfads_torch.workflows.evaluate import recording_for
    from lfads_torch.workflows.model_card import read_card
    from lfads_torch.workflows.stored import load_model, read_settings_of

    record, settings, card = run.read_record(), read_settings_of(run), read_card(run)
    taken, _ = recording_for(run, recording)
    if taken.split is None:
        trial_ids = taken.trial_ids
    else:
        trial_ids = taken.trial_ids[taken.split.trials(which_set)]
    if not len(trial_ids):
        raise DataError(
            f"{run.path}: the {which_set} set has no trials. Compare on another set, or divide the "
            "trials anew with `lfads split` and fit again."
        )
    best = load_model(run, taken).member
    first = int(record.refit.get("member", 0))
    everyone = list(range(first, first + record.n_members))
    is_one = members == "best" or bool(record.search)
    return [
        Replicate(
            run=run,
            member=member,
            seed=f"{settings.run.seed}/{'search' if record.search else member}",
            trial_ids=tuple(trial_ids.tolist()),
            units=_units(card, settings.model.first_generated_bin),
        )
        for member in ([best] if is_one else everyone)
    ]


def _units(card: ModelCard, first_bin: int) -> Units:
    return Units(card.unit_ids, card.is_encoded, card.n_encoded_bins, first_bin)


def grouped(
    replicates: Sequence[Replicate], *, group_by: Literal["settings", "run"]
) -> list[Group]:
    """Groups in the order of their first run; the label is that run's name, and how many more."""
    found: dict[tuple[Any, ...], list[Replicate]] = {}
    for one in replicates:
        key: tuple[Any, ...] = (str(one.run.path),)
        if group_by == "settings":
            key = tuple(sorted(settings_of_model(one.run).items()))
        found.setdefault(key, []).append(one)
    return [
        Group(_label(members), tuple(members), settings_of_model(members[0].run))
        for members in found.values()
    ]


def settings_of_model(run: RunFolder) -> dict[str, SettingValue]:
    """Dotted name -> value of every setting in which two models can differ, seeds left out."""
    from lfads_torch.config.tree import flatten
    from lfads_torch.workflows.stored import read_settings_of

    left_out = (*SEEDS, *WITHOUT_RESULT)
    return {
        name: value
        for name, value in flatten(read_settings_of(run)).items()
        if name not in left_out and not name.startswith("split.")
    }


def _label(members: Sequence[Replicate]) -> str:
    names = list(dict.fromkeys(one.run.path.name for one in members))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
