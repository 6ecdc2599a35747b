"""One figure of a run, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.workflows.report import figure_inputs

if TYPE_CHECKING:
    from lfads_torch.analysis.figures.base import FigureChoice
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["plot_run"]


def plot_run(
    run: RunFolder,
    figure_name: str,
    target: Path,
    *,
    choice: FigureChoice | None = None,
    recording: Recording | None = None,
    rates_path: Path | None = None,
) -> Path:
    """Draw a figure into a .svg, .png or .pdf file, whole or not at all.

    `rates_path` with `recording` shows rates of a recording that the run has not seen. Raises
    SettingsError for an unknown figure, DataError with the reason where it cannot be drawn.
    """
    from lfads_torch.analysis.figures.base import draw_figure
    from lfads_torch.analysis.figures.choose import choose_figure
    from lfads_torch.analysis.figures.encode import figure_kind, write_figure
    from lfads_torch.outputs.target_file import FIGURE, prepare_target

    recipe = choose_figure(figure_name)
    figure_kind(target)
    prepare_target(target, FIGURE, inputs=[] if rates_path is None else [rates_path])
    shown = () if choice is None else choice.trials
    with figure_inputs(run, recording=recording, rates_path=rates_path, shown=shown) as inputs:
        return write_figure(target, draw_figure(recipe, inputs, choice))
