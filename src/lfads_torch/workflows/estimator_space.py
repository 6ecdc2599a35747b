"""What `AutoLFADS` searches: from its argument `space` to a choice, and back from a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.space import SpaceChoice
    from lfads_torch.config.space_text import AskedRange
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["choice_of", "listed_values", "space_of", "values_of"]

WHERE = "AutoLFADS(space=...)"
VALUES = "AutoLFADS(values=...)"


def choice_of(space: object) -> SpaceChoice:
    """From dotted names to ranges; None, instead of a range, leaves a setting out.

    Raises SettingsError for what has no such form; ranges are checked when the sizes are known.
    """
    from lfads_torch.config.space import SpaceChoice
    from lfads_torch.config.space_check import space_error

    given = {} if space is None else space
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise SettingsError(
            f"{WHERE} is {space!r}; a mapping of dotted names to ranges is needed, such as "
            '{"training.learning_rate": "1e-4..1e-2", "augmentation.dropout_rate": None}.'
        )
    asked: list[AskedRange] = []
    mistakes: list[str] = []
    for name, values in given.items():
        if values is not None:
            found, wrong = _asked(name, values)
            asked, mistakes = [*asked, *found], [*mistakes, *wrong]
    if mistakes:
        raise space_error(mistakes)
    dropped = tuple(name for name, values in given.items() if values is None)
    return SpaceChoice(asked=tuple(asked), dropped=dropped, dropped_by=WHERE)


def _asked(name: str, values: object) -> tuple[list[AskedRange], list[str]]:
    from lfads_torch.config.space_text import AskedRange, asked_by_text

    if isinstance(values, str):
        return asked_by_text([f"{name}={values}"], WHERE)
    if isinstance(values, Mapping):
        plain = {str(key): _plain(value) for key, value in values.items()}
        return [AskedRange(name, plain, WHERE)], []
    needed = 'a text such as "1e-4..1e-2", a mapping such as {"low": 1e-4, "high": 1e-2}, or None'
    return [], [f"{name} ({WHERE}) is {values!r}; needed is {needed}"]


def _plain(value: object) -> object:
    """Numbers of NumPy as Python's."""
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value


def space_of(run: RunFolder) -> dict[str, dict[str, object] | None]:
    """The argument that gives a run's space again, whatever becomes of the default one."""
    from lfads_torch.config.space import space_from_yaml
    from lfads_torch.config.space_text import DIVERGENCES, UNIT
    from lfads_torch.search.space import published_space

    path = run.space_path
    searched: dict[str, dict[str, object] | None] = {}
    for each in space_from_yaml(path.read_text(encoding="utf-8"), str(path)):
        values = asdict(each)
        name = values.pop("name")
        searched[name] = {**values, "unit": UNIT} if name in DIVERGENCES else values
    left_out = (each.name for each in published_space() if each.name not in searched)
    return {**searched, **dict.fromkeys(left_out)}


def values_of(
    values: object, recordings: Recording | Sequence[Recording], settings: Settings
) -> tuple[dict[str, float], ...]:
    """Every member's hyperparameters as they enter the loss; () where none are given.

    Raises SettingsError for what is no list of such mappings.
    """
    from lfads_torch.config.member_list import checked_list
    from lfads_torch.config.resolve import resolve
    from lfads_torch.data.recording import Recording
    from lfads_torch.data.splitting import split_recording
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    if values is None:
        return ()
    if not isinstance(values, Sequence) or not all(isinstance(each, Mapping) for each in values):
        raise SettingsError(
            f"{VALUES} is {values!r}; a list with a mapping per member is needed, such as "
            '[{"training.learning_rate": 1e-3}, {"training.learning_rate": 4e-3}].'
        )
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in values]
    given = (recordings,) if isinstance(recordings, Recording) else recordings
    divided = [
        each if each.split is not None
        else each.with_split(split_recording(each, settings.split))
        for each in given
    ]  # fmt: skip
    sizes = joint_sizes(divided, settings)
    return checked_list(rows, VALUES, resolve(settings, sizes).settings, sizes)


def listed_values(run: RunFolder) -> list[dict[str, float]]:
    """The argument `values` that gives a run's list again, in the unit of its settings."""
    from lfads_torch.config.scales import beta_of_one
    from lfads_torch.config.sizes import sizes_of
    from lfads_torch.config.space_text import DIVERGENCES
    from lfads_torch.workflows.stored import read_recording_of, read_settings_of

    settings = read_settings_of(run)
    is_beta = settings.loss.kl_scale_unit == "beta"
    factor = beta_of_one(settings, sizes_of(read_recording_of(run))) if is_beta else 1.0
    return [
        {name: value * (factor if name in DIVERGENCES else 1.0) for name, value in row.items()}
        for row in run.read_record().search["values"]
    ]
