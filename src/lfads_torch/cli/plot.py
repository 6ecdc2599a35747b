"""`lfads plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned
from lfads_torch.errors import SettingsError

__all__ = ["plot"]


def plot(
    run: Annotated[Path | None, Parameter(help="folder of the run")] = None,
    figure: Annotated[str | None, Parameter(help="name of the figure; --list shows them")] = None,
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help=".png, .pdf or .svg file; without it, RUN/FIGURE.png")
    ] = None,
    trials: Annotated[str, Parameter(help="ids of trials, 1,2,3")] = "",
    units: Annotated[str, Parameter(help="ids of units, 7,12")] = "",
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
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.plot import plot_run

    folder = RunFolder.open(run)
    target = out or run / f"{figure.rpartition(':')[2]}.png"
    choice = FigureChoice(trials=_ids(trials), units=_ids(units))
    print(plot_run(folder, figure, target, choice=choice))


def _ids(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _listing() -> str:
    from lfads_torch.analysis.figures.choose import choose_figure, figure_names

    return aligned([(name, choose_figure(name).title) for name in figure_names()])
