"""The section on coordinated dropout of docs/benchmarks.md, and its figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["coordinated_dropout"]

ARMS = {"off": ("without coordinated dropout", "#D55E00"), "on": ("with it", "#0072B2")}
SCORES = {
    "encoded": "encoded, bits/spike (what the search selects by)",
    "masked": "masked, bits/spike",
    "read_out": "units never used, bits/spike",
    "rates": "true rates, R2",
}
RANKED = {
    "encoded": "encoded",
    "masked": "masked",
    "read_out": "units never used",
    "rates": "true rates",
}
METHOD = (
    "`python benchmarks/coordinated_dropout.py`. Two AutoLFADS searches on the same recording:",
    "{units} units that see a Lorenz attractor, {train} training trials, {population} members,",
    "{generations} generations of {epochs} epochs, the same seed. Every unit and bin is encoded,",
    "so both searches select by the likelihood of their own input on {valid} validation trials.",
    "One has coordinated dropout at 0 and out of its space; for the other it is searched as",
    "published. {inputs} inferred inputs and {factors} factors are enough to pass the input",
    "through. Scores on {test} test trials with 95 % trial-bootstrap intervals: of the entries",
    "that the encoder sees; of the same entries while hidden from it; of {taken} units that were",
    "taken out before anything, read out from the factors by Poisson regression afterwards. One",
    "system and one seed; the system was made for the question, so the size of the effect says",
    "nothing about other recordings. A model that was trained without it never met hidden",
    "entries, which alone lowers its masked score; the read-out and the true rates are free of",
    "that.",
)

FINDING = (
    "Without it the search does what it is asked: from generation to generation the encoded score",
    "rises, far above what the true rates reach, on trials that were not trained on. Masked score",
    "and true rates fall as it rises, and on units never used the winner is the worst of its",
    "lines. The likelihood of the input cannot see this, on any trials. With it, the encoded",
    "score stays below that of the true rates and close to the masked score: they agree in",
    "level. In rank they need not (with eight lines a correlation below about .74 is chance):",
    "the lines' encoded scores hardly differ, the winner is of the first generation, which",
    "nothing later beat, and by masked score and true rates it is the last of its lines, if by",
    "little. The masked score ranks the lines as the true rates do in both searches, or nearly so.",
    "The system and its size were chosen in a smaller pilot, which the script tells of.",
)


def coordinated_dropout(result: dict[str, Any], figure: Path) -> str:
    """The winners of both searches, what the lines agree on, and the figure."""
    draw(result, figure)
    settings, trials, arms = result["settings"], result["n_trials"], result["arms"]
    method = "\n".join(METHOD).format(
        **trials,
        units=result["n_units"]["seen"],
        taken=result["n_units"]["taken_out"],
        population=result["population"],
        generations=result["generations"],
        epochs=settings["search.generation_epochs"],
        inputs=settings["model.n_inferred_inputs"],
        factors=settings["model.n_factors"],
    )
    lines = ["## Why coordinated dropout", "", method, "", *_table(result), ""]
    lines += [_told(arms[arm], title) for arm, (title, _) in ARMS.items()]
    lines += ["", *FINDING]
    lines += ["", f"![Encoded scores against the others](figures/{figure.name})"]
    return "\n".join(lines) + "\n"


def _told(arm: dict[str, Any], title: str) -> str:
    """How far the winner's two scores are apart, and how the scores rank the lines."""
    from scipy.stats import spearmanr

    ranks = arm["rank_correlation_with_validation"]
    told = ", ".join(f"{name} {ranks[label]:+.2f}" for label, name in RANKED.items())
    masked, rates = ([line["test"][name] for line in arm["lines"]] for name in ("masked", "rates"))
    best = max(arm["lines"], key=lambda line: line["test"]["masked"])["test"]
    leaders = [each["test"]["encoded"] for each in arm["leader_after_generation"]]
    agreed = spearmanr(masked, rates).statistic
    return (
        f"- {title[0].upper()}{title[1:]}: the winner's encoded score is "
        f"{_text(arm['encoded_minus_masked'])} above its masked score. Encoded score of the leader "
        f"after each generation: {', '.join(f'{each:.3f}' for each in leaders)}. Rank correlation "
        f"over the {len(arm['lines'])} lines of the validation score (higher is better) with test "
        f"scores: {told}; of the masked score with the true rates {agreed:+.2f}. The line with the "
        f"best masked score has masked {best['masked']:.3f}, units never used "
        f"{best['read_out']:.3f}, true rates {best['rates']:.3f}."
    )


def _table(result: dict[str, Any]) -> list[str]:
    arms, truth = result["arms"], result["truth"] | {"masked": result["truth"]["encoded"]}
    lines = [
        "| score of the winner | "
        + " | ".join(title for title, _ in ARMS.values())
        + " | with minus without | the true rates |",
        "|---|---|---|---|---|",
    ]
    for name, title in SCORES.items():
        cells = [_text(arms[arm]["test"][name]) for arm in ARMS]
        best = f"{truth[name]:.3f}" if name in truth else "1"
        lines.append(
            f"| {title} | {' | '.join(cells)} | {_text(result['on_minus_off'][name])} | {best} |"
        )
    return lines


def _text(entry: dict[str, Any]) -> str:
    low, high = entry["interval_95"]
    return f"{entry['value']:.3f} [{low:.3f}, {high:.3f}]"


def draw(result: dict[str, Any], path: Path) -> None:
    """All lines of both searches; the leader's way through the generations; the winner."""
    from matplotlib.figure import Figure

    from lfads_torch.analysis.figures.encode import write_figure

    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    rows = figure.subplots(2, 3)
    for column, name in enumerate(("masked", "read_out", "rates")):
        for axes, arms in zip(rows[:, column], (ARMS, ("on",)), strict=True):
            for arm in arms:
                _draw_arm(axes, result["arms"][arm], name, ARMS[arm], is_whole=arms is ARMS)
            axes.set_ylabel(SCORES[name])
        _draw_truth(rows[0, column], result["truth"], name)
        rows[1, column].set_xlabel("encoded, bits/spike")
    rows[0, 0].legend(frameon=False, fontsize=7, loc="lower left")
    rows[0, 0].set_title("dotted: the true rates; oblique: equal", fontsize=8)
    rows[0, 1].set_title("star: winner; joined: leader after each generation", fontsize=8)
    rows[1, 0].set_title("the lines with it, enlarged", fontsize=8)
    write_figure(path, figure)


def _draw_truth(axes: Axes, truth: dict[str, float], name: str) -> None:
    heights = {"masked": truth["encoded"], "read_out": truth["read_out"], "rates": 1.0}
    axes.axvline(truth["encoded"], color="0.6", lw=0.8, ls=":")
    axes.axhline(heights[name], color="0.6", lw=0.8, ls=":")
    if name == "masked":
        axes.axline((truth["encoded"],) * 2, slope=1.0, color="0.6", lw=0.8)


def _draw_arm(
    axes: Axes, arm: dict[str, Any], name: str, look: tuple[str, str], *, is_whole: bool
) -> None:
    title, colour = look
    lines = [(line["test"]["encoded"], line["test"][name]) for line in arm["lines"]]
    way = [(each["test"]["encoded"], each["test"][name]) for each in arm["leader_after_generation"]]
    axes.plot(*zip(*way, strict=True), color=colour, lw=0.8, marker=".", ms=3, alpha=0.7)
    axes.scatter(*zip(*lines, strict=True), s=16, color=colour, alpha=0.6, lw=0, label=title)
    axes.plot(*way[-1], color=colour, marker="*", ms=9)
    if is_whole:
        axes.errorbar(*way[-1], *_bars(arm["test"], name), color=colour, lw=1)


def _bars(test: dict[str, Any], name: str) -> tuple[list[list[float]], list[list[float]]]:
    """Lengths of the winner's error bars: up and down, then left and right."""
    vertical, horizontal = (
        [[abs(test[label]["value"] - end)] for end in test[label]["interval_95"]]
        for label in (name, "encoded")
    )
    return vertical, horizontal
