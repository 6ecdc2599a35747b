"""`lfads plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned
from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["plot"]

_OF_ONE_RECORDING = (
    "rates", "single_trial_rates", "psth", "rate_truth", "factors_3d", "inferred_inputs",
    "initial_conditions",
)  # fmt: skip


def plot(
    run: Annotated[Path | None, Parameter(help="folder of the run")] = None,
    figure: Annotated[str | None, Parameter(help="name of the figure; --list shows them")] = None,
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help=".png, .pdf or .svg file; without it, RUN/FIGURE.png")
    ] = None,
    trials: Annotated[str, Parameter(help="ids of trials, 1,2,3")] = "",
    session: Annotated[str | None, Parameter(help="of a run of several: which session")] = None,
    units: Annotated[str, Parameter(help="ids of units, 7,12")] = "",
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="a setting of the figure's own, section.key=value; may be repeated",
            negative=(),
        ),
    ] = (),
    list_figures: Annotated[bool, Parameter(name="--list", help="show the figures")] = False,
) -> None:
    """Draw one figure of a run."""
    if list_figures:
        print(_listing())
        return
    if run is None or figure is None:
        raise SettingsError(
            "plot needs a run and the name of a figure, e.g. `lfads plot RUN rates`; "
            "`lfads plot --list` shows the figures."
        )
    from lfads_torch.analysis.figures.base import FigureChoice
    from lfads_torch.config.read import read_overrides
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.plot import plot_run
    from lfads_torch.workflows.sessions.choose import run_of_session

    folder = run_of_session(RunFolder.open(run), session, needs_weights=False)
    _need_session(folder, figure)
    target = out or folder.path / f"{figure.rpartition(':')[2]}.png"
    choice = FigureChoice(
        trials=_ids(trials), units=_ids(units), settings=read_overrides(tuple(set_), "--set")
    )
    print(plot_run(folder, figure, target, choice=choice))


def _need_session(run: RunFolder, figure: str) -> None:
    """Raise SettingsError for a figure of one recording where the run has several."""
    named = run.read_record().sessions
    if named and figure in _OF_ONE_RECORDING:
        raise SettingsError(
            f"{run.path} has the sessions {', '.join(named)}, and the figure {figure} is of one. "
            "Say which with --session NAME."
        )


def _ids(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _listing() -> str:
    from lfads_torch.analysis.figures.choose import choose_figure, figure_names
    from lfads_torch.workflows.plugin_description import settings_lines

    figures = [(name, choose_figure(name)) for name in figure_names()]
    return aligned(
        [
            line
            for name, figure in figures
            for line in (
                (name, figure.title),
                *((f"  --set {own}", told) for own, told in settings_lines(figure)),
            )
        ]
    )
