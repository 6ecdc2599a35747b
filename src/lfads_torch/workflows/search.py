"""Search: a population that tunes its own hyperparameters, from a recording to a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError, SettingsError
from lfads_torch.outputs.run_folder import SPACE, RunFolder
from lfads_torch.outputs.text_fingerprint import text_fingerprint
from lfads_torch.workflows.fit import FitOptions, Observer, Quiet, prepare, train_anew

if TYPE_CHECKING:
    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.space import SpaceChoice
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.search.space import Space

__all__ = ["search_run"]


def search_run(
    recordings: Recording | Sequence[Recording],
    settings: Settings,
    folder: Path,
    *,
    choice: SpaceChoice | None = None,
    values: tuple[Mapping[str, float], ...] = (),
    options: FitOptions | None = None,
    observer: Observer | None = None,
) -> RunFolder:
    """Search on recordings and store everything but the rates (see `workflows.finish`).

    Several recordings are sessions of one model. `choice` says what is searched (without it:
    AutoLFADS' own space). `values` are the members of `search.method=list`: per member,
    hyperparameters by dotted name. Raises DataError or SettingsError before anything slow or
    written, RunError where the folder is taken, and DivergenceError when no member has finite
    numbers any more.
    """
    from lfads_torch.config.space import SpaceChoice, choose_space, space_to_yaml
    from lfads_torch.search.perturb import perturbation_rule
    from lfads_torch.search.select import selection_rule
    from lfads_torch.search.space import drawn_everywhere
    from lfads_torch.workflows.search_rates import require_possible_members
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    watcher = observer or Quiet()
    _require_values(settings, values)
    selection_rule(settings.search)  # raises for what cannot be loaded
    perturbation_rule(settings.search)
    prepared = prepare(
        recordings,
        settings,
        watcher,
        adapt=lambda settings, sizes: _for_a_search(settings, sizes, n_values=len(values)),
    )
    for recording in prepared.recordings:
        if recording.split is not None and len(recording.split.trials("valid")):
            continue
        raise DataError(
            f"{recording.session}: the split has no validation trials; a search compares its "
            "members on them. Give it some: split.valid_fraction=0.2 (--valid-fraction 0.2)."
        )
    sizes = joint_sizes(prepared.recordings, prepared.settings)
    is_list = settings.search.method == "list"
    space = () if is_list else choose_space(choice or SpaceChoice(), prepared.settings, sizes)
    if settings.search.method == "random":
        space = drawn_everywhere(space)
    require_possible_members(prepared.recordings, prepared.settings, space, values)
    _tell_searched_although_set(space, settings, watcher)
    text = space_to_yaml(space)
    options = replace(
        options or FitOptions(),
        search={
            "method": settings.search.method,
            "values": [dict(each) for each in values],
            "space": text_fingerprint(text),
        },
        texts={SPACE: text},
    )
    return train_anew(prepared, folder, options=options, observer=watcher)


def _tell_searched_although_set(space: Space, settings: Settings, watcher: Observer) -> None:
    """A line for values that were chosen and will not hold."""
    names = [each.name for each in space if each.name in settings.chosen]
    if names:
        watcher.message(
            f"{', '.join(names)}: given, but searched, so the given value does not hold; --keep "
            "NAME (space={NAME: None} in Python) holds it"
        )


def _require_values(settings: Settings, values: tuple[Mapping[str, float], ...]) -> None:
    is_list = settings.search.method == "list"
    if is_list and not values:
        raise SettingsError(
            "search.method is list, but no list was given. Give one with --list FILE, a line of "
            "hyperparameters per member; in Python as values=[{name: value}, ...]."
        )
    if values and not is_list:
        raise SettingsError(
            f"search.method is {settings.search.method}, which draws its own values; a list is "
            "for search.method=list. Leave one of them out."
        )
    if is_list and settings.search.start == "halving":
        raise SettingsError(
            "search.start is halving, which begins with more members than the list has lines; "
            "with search.method=list it must be all."
        )


def _for_a_search(settings: Settings, sizes: DataSizes, *, n_values: int) -> Settings:
    """As many members and epochs as the search may use; what stops or slows a single fit is off."""
    from lfads_torch.search.schedule import schedule_of

    search = replace(settings.search, population=n_values or settings.search.population)
    steps = sizes.steps_per_epoch(settings.training.batch_size)
    schedule = schedule_of(search, settings.loss, steps_per_epoch=steps)
    n_start = schedule.n_members(schedule.first_generation, search.population)
    training = replace(settings.training, epochs=schedule.n_epochs, patience=0, plateau_factor=1.0)
    run = replace(settings.run, n_seeds=n_start)
    return replace(settings, search=search, training=training, run=run)
