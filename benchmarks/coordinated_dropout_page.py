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
METHOD = (
    "`python benchmarks/coordinated_dropout.py`. Two AutoLFADS searches on the same recording:",
    "{units} units that see a Lorenz attractor, {train} training trials, {population} members,",
    "{generations} generations of {epochs} epochs, the same seed. Every unit and bin is encoded,",
    "so both searches select by the likelihood of their own input on {valid} validation trials.",
    "One has coordinated dropout at 0 and out of its space; for the other it is searched as",
    "published. {inputs} inferred inputs and {factors} factors are enough to pass the input",
    "through. Scores on {test} test trials with 95 % trial-bootstrap intervals: of the entries",
    "that the encoder sees; of the same entries while hidden from it; of {taken} units that were",
    "taken out before anything, read out from the factors by Poisson regression afterwards. A seed",
    "draws system, units, weights and search anew. The system was made for the question, in a",
    "smaller pilot that the script tells of, so the size of the effect says nothing about other",
    "recordings. A model that was trained without it never met hidden entries, which alone lowers",
    "its masked score; the read-out and the true rates are free of that.",
)

RULE = (
    "Do they agree? The rule was set down after seed 0 had been seen and before the others were run.",
    "Level: the winner's encoded minus its masked score. Rank: Spearman's correlation over the lines",
    "of a search between the validation score, which is encoded, and a score on test trials; combined",
    "over searches. Regret: the model that the masked score on validation trials would have chosen",
    "among the lines, minus the one that the encoded score chose, on test trials. Means over seeds",
    "with Student's 95 % interval over seeds (of rank: Fisher's, over lines); in brackets the number",
    "of searches. A regret costs nothing worth naming where its interval lies below .01 bits/spike",
    "(R2: .05), it costs where it lies above 0, and else it is open.",
)

PARTS = {
    "masked": "masked, bits/spike",
    "read_out": "units never used, bits/spike",
    "rates": "true rates, R2",
}


FINDING = (
    "Without it the search does what it is asked: from generation to generation the encoded score",
    "rises, far above what the true rates reach, on trials that were not trained on. Masked score",
    "and true rates fall as it rises: the better a line's encoded score, the worse the rest. The",
    "likelihood of the input cannot see this, on any trials, and choosing by it costs masked score and",
    "read-out. With it, the encoded score stays below that of the true rates and close to the masked",
    "score: they agree in level. They also rank the lines alike, over all searches together; in seed 0",
    "alone that could not be told, for its lines hardly differ. What choosing by the encoded score",
    "costs is then nothing in two of three searches, where both scores chose the same model, and .018",
    "bits/spike (true rates: .08) in seed 0; with that few searches the rule leaves it open.",
)


def coordinated_dropout(result: dict[str, Any], figure: Path) -> str:
    """The winners of every seed, whether the scores agree over seeds, and the figure."""
    seeds = result["seeds"]
    first = next(iter(seeds.values()))
    draw(first, figure)
    settings = result["settings"]
    method = "\n".join(METHOD).format(
        **first["n_trials"],
        units=first["n_units"]["seen"],
        taken=first["n_units"]["taken_out"],
        population=result["population"],
        generations=result["generations"],
        epochs=settings["search.generation_epochs"],
        inputs=settings["model.n_inferred_inputs"],
        factors=settings["model.n_factors"],
    )
    lines = ["## Why coordinated dropout", "", method, "", *_winners(seeds), ""]
    lines += [*RULE, "", *_judged(result["judged"]), "", *FINDING]
    lines += [
        "",
        f"![Encoded scores against the others, seed {next(iter(seeds))}](figures/{figure.name})",
    ]
    return "\n".join(lines) + "\n"


def _winners(seeds: dict[str, Any]) -> list[str]:
    """Every winner's scores, and those of the true rates."""
    lines = [
        f"| seed | winner | {' | '.join(SCORES.values())} |",
        "|---|---|" + "---|" * len(SCORES),
    ]
    for seed, of_seed in seeds.items():
        for arm, (title, _) in ARMS.items():
            if arm in of_seed["arms"]:
                test = of_seed["arms"][arm]["test"]
                cells = " | ".join(_text(test[name]) for name in SCORES)
                lines.append(f"| {seed} | {title} | {cells} |")
        truth = of_seed["truth"] | {"masked": of_seed["truth"]["encoded"]}
        cells = " | ".join(f"{truth[name]:.3f}" if name in truth else "1" for name in SCORES)
        lines.append(f"| {seed} | the true rates | {cells} |")
    return lines


def _judged(judged: dict[str, Any]) -> list[str]:
    """Level, rank and regret of both arms."""
    titles = [title for title, _ in ARMS.values()]
    lines = [f"| | {' | '.join(titles)} |", "|---|---|---|"]
    level = [
        f"{_pooled(judged[arm]['level'], 'n_seeds')}: "
        + ("agree" if judged[arm]["level"]["agrees"] else "do not agree")
        for arm in ARMS
    ]
    lines.append(f"| level: encoded minus masked, bits/spike | {' | '.join(level)} |")
    for name, title in PARTS.items():
        ranks = [_pooled(judged[arm]["rank"][name], "n_searches") for arm in ARMS]
        lines.append(f"| rank: encoded with {title.partition(',')[0]} | {' | '.join(ranks)} |")
    for name, title in PARTS.items():
        regret = [judged[arm]["regret"][name] for arm in ARMS]
        cells = [f"{_pooled(each, 'n_seeds')}: {each['verdict']}" for each in regret]
        lines.append(f"| regret: {title} | {' | '.join(cells)} |")
    return lines


def _pooled(entry: dict[str, Any], counted: str) -> str:
    return f"{_text(entry)} ({entry[counted]})"


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
