"""What may be changed when a run goes on: device, precision, how many members a search has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lfads_torch.errors import RunError, SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import FitOptions

__all__ = ["changed_settings", "require_unchanged", "store_settings"]

_WHY_FIXED = {
    "random": "its members are draws that all train to the end, and none of them makes room",
    "list": "its members are the values of the list",
}


def require_unchanged(run: RunFolder, options: FitOptions) -> None:
    """Raise RunError where a run that has finished is asked to go on in another way."""
    given = {
        "--population": options.population,
        "--device": options.device,
        "--precision": options.precision,
    }
    named = " and ".join(name for name, value in given.items() if value is not None)
    if named:
        raise RunError(
            f"{run.path}: the run has finished, so {named} cannot change it any more. Leave it "
            f"out, or begin another run from its weights: lfads fit "
            f"{run.read_record().data_path or 'FILE'} --from {run.path} --out NEW_RUN."
        )


def changed_settings(run: RunFolder, settings: Settings, options: FitOptions) -> Settings:
    """The run's settings with the device, precision and population that are asked for.

    Raises RunError where one of them cannot change, SettingsError where the population is no number
    of members. Nothing is written.
    """
    if options.device is not None:
        from lfads_torch.config.check import replace_values

        settings = replace_values(settings, {"run.device": options.device})
    if options.precision is not None:
        settings = _with_precision(run, settings, options.precision)
    if options.population is None:
        return settings
    _require_population(run, settings, options.population)
    return _with_population(run, settings, options.population)


def store_settings(run: RunFolder, settings: Settings) -> None:
    """Make them the run's; a population of another size is divided into groups anew.

    The stored state follows when training goes on (`workflows.resize_search`).
    """
    from lfads_torch.config.tree import to_yaml

    run.write_settings(to_yaml(settings))
    record = replace(run.read_record(), grouping=None, n_members=settings.run.n_seeds)
    run.write_record(record)


def _with_precision(run: RunFolder, settings: Settings, precision: str) -> Settings:
    from lfads_torch.config.check import replace_values

    if "float64" in (precision, settings.run.precision) and precision != settings.run.precision:
        raise RunError(
            f"{run.path}: its numbers are stored in {_stored_as(settings.run.precision)}, so it "
            f"cannot go on in {precision}. Go on without --precision, or begin another run from "
            f"its weights: lfads fit {run.read_record().data_path or 'FILE'} --from {run.path} "
            f"--out NEW_RUN --precision {precision} (in Python "
            f"LFADS(precision={precision!r}).fit(X, start_from=RUN))."
        )
    return replace_values(settings, {"run.precision": precision})


def _stored_as(precision: str) -> str:
    return "float64" if precision == "float64" else "float32"


def _require_population(run: RunFolder, settings: Settings, n_members: int) -> None:
    method = settings.search.method
    if n_members < 1:
        raise SettingsError(
            f"population (--population) is {n_members}: at least one member is needed."
        )
    if not run.read_record().search:
        raise RunError(
            f"{run.path}: is a fit, whose restarts all train to the end; a population is for a "
            "search. Leave it out; more restarts are another run: lfads fit --seeds."
        )
    if method in _WHY_FIXED and n_members != settings.search.population:
        raise RunError(
            f"{run.path}: a search of the method {method} cannot go on with {n_members} members "
            f"instead of {settings.search.population}: {_WHY_FIXED[method]}. Leave the "
            "population (--population) out, or begin another search."
        )
    if _generation(run) < 0 and n_members != settings.search.population:
        raise RunError(
            f"{run.path}: its members are being halved until {settings.search.population} are "
            "left, and cannot become more or fewer meanwhile. Leave --population out until "
            "generation 0 has begun (`lfads status`), or begin another search."
        )


def _generation(run: RunFolder) -> int:
    """The one in progress; 0 where nothing has been stored yet."""
    import torch

    from lfads_torch.training.checkpoint import load_extras

    path = run.last_checkpoint_path
    if not path.exists():
        return 0
    found = load_extras(path, torch.device("cpu"), prefix="search/generation")
    return int(found[""]) if "" in found else 0


def _with_population(run: RunFolder, settings: Settings, n_members: int) -> Settings:
    from lfads_torch.search.schedule import schedule_of

    search = replace(settings.search, population=n_members)
    # Which generation is the first does not depend on the number of steps in an epoch.
    schedule = schedule_of(search, settings.loss, steps_per_epoch=1)
    n_start = schedule.n_members(schedule.first_generation, n_members)
    return replace(settings, search=search, run=replace(settings.run, n_seeds=n_start))
