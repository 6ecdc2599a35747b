"""The section on coordinated dropout of docs/benchmarks.md, and its figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from agreement import judged

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
    "Do they agree? The rule was set down after seed 0 had been seen and before the others were run, for the",
    "seeds 0 to 2; seeds 3 and 4 were added after those had been seen, for the searches with coordinated",
    "dropout alone, since the regret had been left open, and nothing else was changed. Level: the winner's encoded minus its masked score;",
    "they agree where the interval lies within .05 bits/spike of 0 and no winner's encoded score is above",
    "that of the true rates. Rank: Spearman's correlation over the lines of a search between the validation",
    "score, which is encoded, and a score on test trials; combined over searches. Regret: the model that the",
    "masked score on validation trials would have chosen among the lines, minus the one that the encoded",
    "score chose, on test trials. Means over seeds with Student's 95 % interval over seeds (of rank:",
    "Fisher's, over lines). A regret costs nothing worth naming where its interval lies below .01",
    "bits/spike (R2: .05), it costs where it lies above 0, and else it is open.",
)

SET_DOWN = ("0", "1", "2")
PARTS = {
    "masked": "masked, bits/spike",
    "read_out": "units never used, bits/spike",
    "rates": "true rates, R2",
}


FINDING = (
    "Without it the search does what it is asked: from generation to generation the encoded score",
    "rises, far above what the true rates reach, on trials that were not trained on. Masked score and true rates",
    "fall as it rises: the better a line's encoded score, the worse the rest. The likelihood of the input cannot see",
    "this, on any trials, and choosing by it costs masked score and read-out. With it, encoded and masked score are",
    ".02 to .03 bits/spike apart: over the three seeds set down they agree in level; of the two that were added one winner's",
    "encoded score is .003 above that of the true rates (its own interval is 14 times as wide), which by the letter of the",
    "rule is no agreement. They rank the lines alike. In two of five searches both scores choose the same model; in",
    "the other three the encoded score chooses one that is .007 to .018 bits/spike worse, by masked score. That is a hundredth of",
    "what it costs without coordinated dropout, but whether it is nothing the rule leaves open. So the encoded score can be",
    "searched by where coordinated dropout is on, and the masked score is still the better judge in the end.",
)


def coordinated_dropout(result: dict[str, Any], figure: Path) -> str:
    """The winners of every seed, whether the scores agree over seeds, and the figure."""
    seeds = result["seeds"]
    first = next(iter(seeds.values()))
    draw(seeds, figure)
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
    lines += [*RULE, "", *_judged(seeds), "", *FINDING]
    lines += [
        "",
        f"![Encoded scores against the others](figures/{figure.name})",
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


def _judged(seeds: dict[str, Any]) -> list[str]:
    """Level, rank and regret: of the seeds set down, and of all."""
    columns = {
        f"{ARMS[arm][0]}, seeds {', '.join(of)}": judged({seed: seeds[seed] for seed in of}, arm)
        for arm, of in (("off", SET_DOWN), ("on", SET_DOWN), ("on", tuple(seeds)))
    }
    found = list(columns.values())
    lines = [f"| | {' | '.join(columns)} |", "|---|---|---|---|"]
    level = [
        _text(each["level"]) + (": agree" if each["level"]["agrees"] else ": do not agree")
        for each in found
    ]
    lines.append(f"| level: encoded minus masked, bits/spike | {' | '.join(level)} |")
    for name, title in PARTS.items():
        ranks = [_text(each["rank"][name]) for each in found]
        lines.append(f"| rank: encoded with {title.partition(',')[0]} | {' | '.join(ranks)} |")
    for name, title in PARTS.items():
        regret = [each["regret"][name] for each in found]
        cells = [f"{_text(each)}: {each['verdict']}" for each in regret]
        lines.append(f"| regret: {title} | {' | '.join(cells)} |")
    return lines


def _text(entry: dict[str, Any]) -> str:
    low, high = entry["interval_95"]
    return f"{entry['value']:.3f} [{low:.3f}, {high:.3f}]"


def draw(seeds: dict[str, Any], path: Path) -> None:
    """All lines of the first seed's searches; below, of all searches with coordinated dropout."""
    from matplotlib.figure import Figure

    from lfads_torch.analysis.figures.encode import write_figure

    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    rows = figure.subplots(2, 3)
    name_of_first, first = next(iter(seeds.items()))
    for column, name in enumerate(("masked", "read_out", "rates")):
        above, below = rows[:, column]
        for arm in ARMS:
            _draw_arm(above, first["arms"][arm], name, ARMS[arm])
        _draw_truth(above, first["truth"], name)
        above.set_ylabel(SCORES[name])
        for n, (seed, of_seed) in enumerate(seeds.items()):
            _draw_lines(below, of_seed["arms"]["on"], name, (f"seed {seed}", f"C{n}"))
        below.locator_params(axis="x", nbins=4)
        below.set_xlabel("encoded, minus the search's mean")
        below.set_ylabel(f"{PARTS[name]}, minus the mean", fontsize=8)
    rows[0, 0].legend(frameon=False, fontsize=7, loc="lower left")
    rows[1, 0].legend(frameon=False, fontsize=7, loc="upper left")
    rows[0, 0].set_title(
        f"seed {name_of_first}; dotted: the true rates; oblique: equal", fontsize=8
    )
    rows[0, 1].set_title("star: winner; joined: leader after each generation", fontsize=8)
    rows[1, 0].set_title("the lines with it, every seed", fontsize=8)
    write_figure(path, figure)


def _draw_lines(axes: Axes, arm: dict[str, Any], name: str, look: tuple[str, str]) -> None:
    """A search's lines around their mean; the winner is a star."""
    title, colour = look
    points = np.array([(line["test"]["encoded"], line["test"][name]) for line in arm["lines"]])
    points = points - points.mean(axis=0)
    axes.scatter(*points.T, s=16, color=colour, alpha=0.6, lw=0, label=title)
    winner = [line["line"] for line in arm["lines"]].index(arm["winner"])
    axes.plot(*points[winner], color=colour, marker="*", ms=9)


def _draw_truth(axes: Axes, truth: dict[str, float], name: str) -> None:
    heights = {"masked": truth["encoded"], "read_out": truth["read_out"], "rates": 1.0}
    axes.axvline(truth["encoded"], color="0.6", lw=0.8, ls=":")
    axes.axhline(heights[name], color="0.6", lw=0.8, ls=":")
    if name == "masked":
        axes.axline((truth["encoded"],) * 2, slope=1.0, color="0.6", lw=0.8)


def _draw_arm(axes: Axes, arm: dict[str, Any], name: str, look: tuple[str, str]) -> None:
    title, colour = look
    lines = [(line["test"]["encoded"], line["test"][name]) for line in arm["lines"]]
    way = [(each["test"]["encoded"], each["test"][name]) for each in arm["leader_after_generation"]]
    axes.plot(*zip(*way, strict=True), color=colour, lw=0.8, marker=".", ms=3, alpha=0.7)
    axes.scatter(*zip(*lines, strict=True), s=16, color=colour, alpha=0.6, lw=0, label=title)
    axes.plot(*way[-1], color=colour, marker="*", ms=9)
    axes.errorbar(*way[-1], *_bars(arm["test"], name), color=colour, lw=1)


def _bars(test: dict[str, Any], name: str) -> tuple[list[list[float]], list[list[float]]]:
    """Lengths of the winner's error bars: up and down, then left and right."""
    vertical, horizontal = (
        [[abs(test[label]["value"] - end)] for end in test[label]["interval_95"]]
        for label in (name, "encoded")
    )
    return vertical, horizontal
