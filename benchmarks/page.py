"""Write docs/benchmarks.md and its figures from results/*.json, so that no number is copied by hand.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from continuous_page import continuous
from coordinated_dropout_page import coordinated_dropout
from curves_page import curves
from kernel_steps_page import kernel_steps
from maze_page import maze, selection
from maze_search_page import maze_search
from precision_page import precision
from sessions_page import sessions
from summary_page import summary
from tree import told_sources
from whole_epoch_page import whole_epoch
from whole_search_page import whole_search

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"
INTRODUCTION = """# Benchmarks

Every number in a table of this page, but for those of others, was measured with the scripts in `benchmarks/` and is written
here by `python benchmarks/page.py` from `benchmarks/results/`. The text also tells of earlier runs, whose files were not kept.
Runs are resumable: a script that is started again goes on. The recordings are not part of the repository; the scripts say
where they look for them. All ran on the CPU, one thread each, beside other work, so their
times say little; what was timed for its own sake, by backend, has sections of its own.
"""


def stored(name: str) -> dict[str, Any] | None:  # JSON values
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def lorenz_default_gates() -> list[str]:
    """What the first draw came to in the paper's own bins with update gates as by default."""
    found = stored("lorenz_2ms_first_draw")
    if found is None:
        return []
    told = "; ".join(
        " ".join(f"{value:.3f}" for value in each["latent_r2"])
        + f" after {each['epochs']} epochs ({each['settings']})"
        for each in found["draws"]
    )
    return [
        "",
        "In bins of 2 ms update gates start at a bias of 3 (`model.update_gate_bias`), so that an untrained model remembers as many",
        f"milliseconds as one of bias 1 does in bins of 10 ms. With a bias of 1 draw 0 came to {told}.",
    ]


def lorenz_rows(width: str, result: dict[str, Any]) -> list[str]:
    """A table: R2 per dimension of every draw, their mean, and the published figures."""
    rows = [
        f"| draw {each['seed']} | "
        + " | ".join(f"{value:.3f}" for value in each["latent_r2"])
        + f" | {each['rate_r2']:.3f} | {each['epochs']} |"
        for each in result["draws"]
    ]
    mean, deviation = result["mean"], result["standard_deviation"]
    spread = [f"{m:.3f} ({s:.3f})" for m, s in zip(mean, deviation, strict=True)]
    published = [f"{value:.3f}" for value in result["published"]["LFADS"]]
    return [
        "",
        f"| bins of {width} | x | y | z | rates, R2 | epochs |",
        "|---|---|---|---|---|---|",
        *rows,
        f"| mean (standard deviation) | {' | '.join(spread)} | | |",
        f"| published, LFADS, 2 ms | {' | '.join(published)} | | |",
    ]


def lorenz(coarse: dict[str, Any]) -> str:
    """R2 per dimension over draws, in both widths of bins."""
    fine = stored("lorenz_2ms")
    return (
        "\n".join(
            [
                "## Lorenz system of the 2016 paper",
                "",
                "`python benchmarks/lorenz.py` (bins of 10 ms) and `--bin-width-s 0.002 --epochs 200` (2 ms, as the paper's). 65 conditions of",
                "20 trials, 30 units; the paper's sizes. R2 of the true state per dimension on validation trials, a draw of the weights per",
                "line. In bins of 10 ms the state is its average over them, so the two widths are not scored on quite the same signal.",
                "The centred state of each condition is divided by its absolute maximum. The authors' code has the signed maximum; per",
                "condition that blows up where a trial hardly leaves the lower lobe (rates over 1e5 spikes/s), and only the absolute one",
                "gives the recipe's mean and peak rate. Rate, ramps, divergence weight and, at 2 ms, batches and gates were tried out on",
                "draw 0 beforehand; draws 1 to 4 had not been trained in bins of 2 ms before these runs.",
                *([] if fine is None else lorenz_rows("2 ms", fine)),
                *lorenz_rows("10 ms", coarse),
                *lorenz_default_gates(),
            ]
        )
        + "\n"
    )


PULSES = {"1.5": "g = 1.5", "control": "g = 1.5, no pulse (control)", "2.5": "g = 2.5"}


def pulses(result: dict[str, Any]) -> str:
    """Timing per protocol and system, and the histogram of errors."""
    protocols = result["coordinated_dropout"]
    found = [(rate, key) for rate in protocols for key in PULSES if key in protocols[rate]]
    rows = []
    for rate, key in found:
        each = protocols[rate][key]
        for whitening in ("stationary", "innovations"):
            timing = each[f"by_{whitening}"]
            rows.append(
                f"| {PULSES[key]} | {rate} | {whitening} | {100 * timing['within_30_ms']:.1f} % | "
                f"{100 * timing['chance_permuted']:.1f} % | {100 * timing['chance_uniform']:.1f} % | "
                f"{1e3 * timing['median_error_s']:.0f} ms | {each['rate_r2']:.3f} | "
                f"{each['valid_nats']:.4f} ({each['true_rates_nats']:.4f}) |"
            )
    draw_pulses(protocols, found)
    return (
        "\n".join(
            [
                "## Input pulses into a chaotic network",
                "",
                "`python benchmarks/pulses.py`. Share of validation trials in which the largest inferred input lies within 30 ms of",
                "the pulse. The input is scaled by the prior's stationary width, or by what the AR(1) prior would not have expected",
                "(innovations). The control has the same network and nominal times, and no pulses. Last column: smoothed validation",
                "reconstruction in nats per entry, and in brackets that of the true rates: a model below it has copied spikes that its",
                "encoder saw. One seed; 200 epochs, beta .1 (initial condition) and .3 (inputs), set after a first attempt with beta 1",
                "and 36 epochs had not learned the dynamics. The protocol without coordinated dropout was run first, as published: it",
                "finds the pulses, but at g 1.5 its rates follow the noise of the counts (R2 below 0). A protocol with coordinated dropout (.3, our",
                "default) was set down after that was seen; where it is not in the table it has not been run to its end. With it the rates follow the truth; at",
                "g 1.5 the largest input then comes 20 ms before the pulse in the median, so that fewer trials lie within 30 ms.",
                "",
                "| system | coordinated dropout | input scaled by | within 30 ms | chance, permuted | chance, uniform | median error | rates, R2 | nats (truth) |",
                "|---|---|---|---|---|---|---|---|---|",
                *rows,
                "",
                "![Largest inferred input minus pulse](figures/pulses.svg)",
            ]
        )
        + "\n"
    )


def draw_pulses(protocols: dict[str, Any], found: list[tuple[str, str]]) -> None:
    from matplotlib.figure import Figure

    from lfads_torch.analysis.figures.encode import write_figure

    figure = Figure(figsize=(3.0 * len(found), 2.4), layout="constrained")
    for place, (rate, key) in enumerate(found):
        timing = protocols[rate][key]["by_stationary"]
        edges = 1e3 * np.asarray(timing["error_edges_s"])
        axes = figure.add_subplot(1, len(found), place + 1)
        axes.stairs(timing["error_counts"], edges, fill=True, color="#0072b2")
        axes.axvspan(-30, 30, color="0.85", zorder=0)
        axes.set_title(f"{PULSES[key]}, dropout {rate}", fontsize=8)
        axes.set_xlabel("largest input minus pulse (ms)")
        axes.set_ylabel("trials" if place == 0 else "")
    write_figure(DOCS / "figures" / "pulses.svg", figure)


def why_coordinated_dropout(result: dict[str, Any]) -> str:
    """Two searches on one recording; the section has a file of its own."""
    return coordinated_dropout(result, DOCS / "figures" / "coordinated_dropout.png")


def single_maze(result: dict[str, Any]) -> str:
    """A single model, with the seeds of the runs that kept all epochs."""
    return maze(result, stored("maze_selection"))


def selected_epoch(result: dict[str, Any]) -> str:
    """Rules of selection."""
    return selection(result, DOCS / "figures")


def step_curves(result: dict[str, Any]) -> str:
    """Time and memory over sizes."""
    return curves(result, DOCS / "figures")


def population_cost(result: dict[str, Any]) -> str:
    """Time and memory of a member against P = 1."""
    machine = result["machine"]
    rows = [
        f"| {n} | {each['processor_s_per_member_epoch']:.3f} | {each['fastest_s_per_member_epoch']:.3f} | "
        f"{each['times_faster_per_member']:.2f} | {each['peak_mb']} | "
        + ("" if each["mb_per_additional_member"] is None else f"{each['mb_per_additional_member']:.0f}")
        + " |"
        for n, each in result["members"].items()
    ]  # fmt: skip
    lines = [
        "## What a member of a population costs",
        "",
        "`python benchmarks/population_cost.py`. Whole epochs (training, validation, score) of the preset `maze_peer` on the maze recording,",
        f"{result['n_weights']:,} weights, {result['backend']}, one thread of {machine['processor']} (load {machine['load_before']} before); populations take turns epoch by",
        f"epoch, {result['rounds']} rounds, processor time. Memory is the peak of a process of its own that trains two epochs.",
        "",
        "| members | s per member-epoch, median | fastest | times as fast per member | peak, MB | MB per additional member |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "On one thread of a processor a population saves a tenth per member and no more: the products of one model fill it already. So on a CPU a few members",
        "train at once and the others in turn, and one that waits takes its weights, moments and best weights alone; `run.members_at_once` sets another number.",
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page; benchmarks without results are left out."""
    sections = (
        ("maze_single", single_maze),
        ("maze_selection", selected_epoch),
        ("lorenz_10ms", lorenz),
        ("pulses", pulses),
        ("maze_search", maze_search),
        ("sessions", sessions),
        ("precision", precision),
        ("population_cost", population_cost),
        ("kernel_steps", kernel_steps),
        ("curves", step_curves),
        ("whole_epoch", whole_epoch),
        ("whole_search", whole_search),
        ("coordinated_dropout", why_coordinated_dropout),
        ("continuous", continuous),
    )
    found = {path.stem: stored(path.stem) for path in RESULTS.glob("*.json")}
    parts = [INTRODUCTION, summary(found)]
    for name, write in sections:
        if name in found:
            parts.append(write(found[name]))
            told = told_sources(found[name])
            parts += [told] if told else []
    return "\n".join(parts)


if __name__ == "__main__":
    (DOCS / "figures").mkdir(exist_ok=True)
    (DOCS / "benchmarks.md").write_text(page())
