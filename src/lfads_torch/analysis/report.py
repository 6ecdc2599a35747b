"""One self-contained page about a run: what ran, how well, and what no figure can tell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfads_torch.analysis import report_facts, report_scores, report_sessions, search_story
from lfads_torch.analysis.figures.base import (
    FigureChoice,
    FigureInputs,
    FigureRecipe,
    draw_figure,
)
from lfads_torch.analysis.figures.choose import FIGURES, choose_figure
from lfads_torch.analysis.figures.encode import as_data_uri
from lfads_torch.analysis.figures.look import LAYOUT_DOTS_PER_INCH
from lfads_torch.analysis.search_history import is_search
from lfads_torch.atomic import write_text
from lfads_torch.errors import DataError

__all__ = ["FigureSection", "render_report", "write_report"]


@dataclass(frozen=True, kw_only=True)
class FigureSection:
    """A figure as the page shows it: the image, or the reason why there is none."""

    name: str
    title: str
    caption: str
    caveat: str
    image: str | None = None  # data URI
    width: int = 0  # pixels of the layout
    height: int = 0
    reason: str | None = None


def write_report(
    path: str | os.PathLike[str],
    inputs: FigureInputs,
    *,
    figures: Sequence[str] = tuple(FIGURES),
    choice: FigureChoice | None = None,
) -> Path:
    """Write the page; it needs no other file and no network. Same inputs, same bytes."""
    write_text(path, render_report(inputs, figures=figures, choice=choice))
    return Path(path)


def render_report(
    inputs: FigureInputs,
    *,
    figures: Sequence[str] = tuple(FIGURES),
    choice: FigureChoice | None = None,
) -> str:
    """The page as text. All text of the run is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lfads_torch.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    table = report_scores.score_rows(inputs.scores)
    return environment.get_template("report.html.j2").render(
        title=report_facts.title(inputs),
        status=report_facts.status(inputs),
        headline=report_facts.headline(inputs),
        highlights=report_scores.highlights(table),
        warnings=report_facts.warnings(inputs),
        facts=report_facts.facts(inputs),
        beta=report_facts.beta_rows(inputs),
        sets=report_facts.set_rows(inputs),
        set_remarks=report_facts.set_remarks(inputs),
        findings=report_facts.finding_rows(inputs.check),
        was_checked=bool(inputs.check),
        scores=table,
        all_used_for_selection=report_scores.are_all_used_for_selection(table),
        search=search_story.search_story(inputs),
        sessions=report_sessions.session_rows(inputs),
        session_note=report_sessions.session_note(inputs),
        figures=_sections(figures, inputs, choice),
        winner=search_story.winner_text(inputs),
        settings=report_facts.settings_text(inputs.settings),
        versions=report_facts.version_rows(inputs.run),
    )


def _sections(
    names: Sequence[str], inputs: FigureInputs, choice: FigureChoice | None
) -> list[FigureSection]:
    """The figures in this order; those of a search or of sessions only where the run is one."""
    recipes = [choose_figure(name) for name in names]
    return [
        _section(recipe, inputs, choice)
        for recipe in recipes
        if (not recipe.is_of_a_search or is_search(inputs.run, inputs.history))
        and (not recipe.is_of_sessions or inputs.alignment)
    ]


def _section(
    recipe: FigureRecipe, inputs: FigureInputs, choice: FigureChoice | None
) -> FigureSection:
    words = {key: getattr(recipe, key) for key in ("name", "title", "caption", "caveat")}
    reason = recipe.needs(inputs)
    if reason is not None:
        return FigureSection(**words, reason=reason)
    try:
        figure = draw_figure(recipe, inputs, choice)
    except DataError as error:  # e.g. a plug-in that finds out only while drawing
        return FigureSection(**words, reason=str(error))
    width, height = (round(LAYOUT_DOTS_PER_INCH * inches) for inches in figure.get_size_inches())
    return FigureSection(**words, image=as_data_uri(figure), width=width, height=height)
