"""The live view of a fit or a search in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.cli.standing import Standing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lfads_torch.cli.search_standing import SearchStanding

__all__ = ["LiveView"]


class LiveView:
    """A few lines at the bottom of the terminal that follow the training; messages go above."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._is_running = False

    def message(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, standing: Standing | SearchStanding) -> None:
        if not self._is_running:
            self._live.start()
            self._is_running = True
        self._live.update(self._picture(standing), refresh=True)

    def close(self) -> None:
        if self._is_running:
            self._live.stop()
            self._is_running = False

    def _picture(self, standing: Standing | SearchStanding) -> RenderableType:
        if isinstance(standing, Standing):
            return _of_a_fit(standing)
        from lfads_torch.cli.live_search import search_picture

        size = self._console.size
        return search_picture(standing, width=size.width, height=size.height)


def _of_a_fit(standing: Standing) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    of_members = (
        f", member {standing.member} of {standing.n_members}" if standing.n_members > 1 else ""
    )
    table = Table.grid(padding=(0, 2))
    table.add_row(
        Text(f"{standing.epoch_text()}{of_members}", style="bold"),
        ProgressBar(total=standing.n_epochs, completed=standing.n_done, width=30),
    )
    table.add_row(Text("pace"), Text(standing.pace_text()))
    table.add_row(Text("validation score"), Text(standing.score_text()))
    for name, value in standing.terms():
        table.add_row(Text(name), Text(value))
    table.add_row(Text("learning rate"), Text(standing.rate_text()))
    return table
