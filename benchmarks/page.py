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
from precision_page import precision
from sessions_page import sessions
from tree import told_sources
from whole_epoch_page import whole_epoch

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"
INTRODUCTION = """# Benchmarks

Every number on this page was measured with the scripts in `benchmarks/` and is written here by `python benchmarks/page.py`
from `benchmarks/results/`. Runs are resumable: a script that is started again goes on. The recordings are not part of the
repository; the scripts say where they look for them. All ran on the CPU, one thread each, beside other work, so their
times say little; how long a training step takes with each backend is a section of its own.
"""

SEARCH_FINDING: tuple[str, ...] = (
    "What this says, of 8 members and one seed on each of two splits: the population is above random search and above the published settings in all",
    "four scores on both splits. Against the population without exploitation it is above on the peer's split; on the other one three scores are ties and its",
    "PSTH R2 is lower. So the gain over fixed and random settings came back on other trials and units, and the gain of copying over perturbing alone did not.",
    "Where an ensemble is wanted, copying costs what it gains: the models become relatives. Perturbing without copying (`--method explore_only`) kept them",
    "apart and good, and of one seed here no other arm's averaged rates were above theirs by more than a tie.",
)


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


ARMS = {
    "population": "population (AutoLFADS)",
    "random": "random search",
    "published": "published settings, as many seeds",
    "explore_only": "population without exploitation",
}
SPLITS = {"peer": "the peer's split", "second": "another split"}


def maze_search(result: dict[str, Any]) -> str:
    """Per size, split and seed: every arm on test trials, and paired differences."""
    parts = [
        "## Searching hyperparameters on the maze recording",
        "",
        "`python benchmarks/maze_search.py`. Architecture of the preset `maze_peer`, ramps of 20 epochs, the same trials, units, seed,",
        "member-epochs, validation passes and stopping rule (all run to the last generation) for every arm; within a table only the",
        "way of searching differs. A first random arm, in which all members had the learning rate .004 and the coordinated dropout .5",
        "that a population begins with, was seen first: co-smoothing .2869, a tie with the population, and velocity R2 .8837. Random",
        "search now draws these two as well, and was run again. The published values were found with ramps of 80 and used for 700",
        "epochs; here they get ramps of 20 and 140 epochs like all others. Encoded units are seen by the encoder: a model that copies",
        "its input wins that column, so it decides nothing. Each arm is the model with its best smoothed validation score. All figures are of TEST trials, on",
        "which nothing was selected, with a 95 % trial-bootstrap interval. In the second table the paired difference: the population",
        "minus the other arm on the same trials; a tie where the interval holds 0. One seed per table is no replication (three",
        "seeds and three splits would be): the intervals know trials, not seeds.",
        "",
        "Ensembles average the rates of up to four models that a run has anyway, chosen one by one on validation trials",
        "([how](search.md#averaging-models)). The rule was settled on validation trials; test trials were looked at twice: once for the gain of each",
        "ensemble, and then for the ensembles of the arms against each other, which was thought of after the first look. A first rule, the best models of four different lines whatever they are, had been measured before on the same test trials",
        f"and lost: co-smoothing minus the best {_first_rule(result)}. With the rule of today",
        "no ensemble is worse than the best alone by more than a tie. In a population that copies, the chosen models are members of one line: they are close to each",
        "other, so they gain little: in co-smoothing nothing that the interval knows of, in PSTH R2 something. Independent models gain more. So as",
        "ensembles the population is no longer ahead of the one without exploitation, but behind it, in PSTH R2 on both splits and in co-smoothing",
        "on one; it stays ahead of random search, where nothing helped the best model. Spread between members: median over entries of their",
        "standard deviation, in shares of the mean rate.",
        "",
    ]
    sizes = {key: value for key, value in result.items() if key != "what"}
    for size, by_split in sizes.items():
        for split, by_seed in by_split.items():
            for seed, found in by_seed.items():
                parts += _one_comparison(f"{size}; {SPLITS[split]}, {seed}", found)
    return "\n".join([*parts, *SEARCH_FINDING]) + "\n"


def _one_comparison(title: str, found: dict[str, Any]) -> list[str]:
    arms = [arm for arm in ARMS if arm in found["arms"]]
    names = list(found["arms"][arms[0]]["test"])
    head = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    lines = [f"**{title}** ({found['n_test_trials']} test trials)", "", *head]
    for arm in arms:
        each = found["arms"][arm]
        lines.append(_score_row(ARMS[arm], each["test"], names))
    for arm in arms:
        lines += _ensemble_rows(ARMS[arm], found["arms"][arm], names)
    others = [arm for arm in arms if arm != "population"]
    lines += _beside(found, arms)
    if others:
        lines += ["", f"| population minus | {' | '.join(names)} |", head[1]]
        for arm in others:
            lines.append(_score_row(ARMS[arm], found["arms"][arm]["population_minus_this"], names))
        for arm in others:
            paired = found["arms"][arm]["population_ensemble_minus_this"]
            lines.append(_score_row(f"{ARMS[arm]}, both as ensembles", paired, names))
    trained = ", ".join(
        f"{ARMS[arm]} {found['arms'][arm]['member_epochs']} member-epochs, "
        f"{found['arms'][arm]['training_s'] / found['arms'][arm]['member_epochs']:.2f} s each"
        for arm in arms
    )
    return [*lines, "", f"Trained: {trained} (one thread, beside other work).", ""]


def _first_rule(result: dict[str, Any]) -> str:
    """Co-smoothing of the rule that lost, of every arm on both splits."""
    told: dict[str, list[str]] = {}
    for size, by_split in result.items():
        for by_seed in by_split.values() if size != "what" else ():
            for found in by_seed.values():
                for arm, each in found["arms"].items():
                    if "lines_minus_best" not in each:  # of a run after that rule
                        continue
                    value = each["lines_minus_best"]["co-smoothing, bits/spike"]["value"]
                    told.setdefault(ARMS[arm], []).append(f"{value:+.4f}")
    return "; ".join(f"{arm} {', '.join(values)}" for arm, values in told.items())


def _ensemble_rows(title: str, arm: dict[str, Any], names: list[str]) -> list[str]:
    """What the averaged rates gain; a row that says so where nothing was averaged."""
    taken = len(arm["ensemble_members"])
    of = f"{taken} of {arm['n_candidates']} candidates"
    if taken == 1:
        return [f"| {title}: nothing averaged, no other candidate helps |{' |' * len(names)}"]
    spread = f"spread {100 * arm['member_spread']:.0f} %"
    return [
        _score_row(
            f"{title}: {of} averaged ({spread}), minus the best", arm["ensemble_minus_best"], names
        )
    ]


def _beside(found: dict[str, Any], arms: list[str]) -> list[str]:
    """Masked scores, ceilings and what simple methods reach; earlier results lack them."""
    name = "masked, bits/spike"
    if not all(name in found["arms"][arm] for arm in arms):
        return []
    masked = (f"{ARMS[arm]} {_with_interval(found['arms'][arm][name])}" for arm in arms)
    known = (f"{title} {value:.4f}" for title, value in found["references"].items())
    return [
        "",
        "Encoded entries while hidden from the encoder (masked score, bits/spike): " + "; ".join(masked) + ".",
        "On the same trials: " + "; ".join(known) + ".",
    ]  # fmt: skip


def _with_interval(entry: dict[str, Any]) -> str:
    low, high = entry["interval_95"]
    return f"{entry['value']:.4f} ({low:.4f} to {high:.4f})"


def _score_row(title: str, scores: dict[str, Any], names: list[str]) -> str:
    cells = []
    for name in names:
        tie = " tie" if scores[name].get("verdict") == "tie" else ""
        cells.append(f"{_with_interval(scores[name])}{tie}")
    return f"| {title} | {' | '.join(cells)} |"


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
    parts = [INTRODUCTION]
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
        ("coordinated_dropout", why_coordinated_dropout),
        ("continuous", continuous),
    )
    for name, write in sections:
        result = stored(name)
        if result is not None:
            parts.append(write(result))
            told = told_sources(result)
            parts += [told] if told else []
    return "\n".join(parts)


if __name__ == "__main__":
    (DOCS / "figures").mkdir(exist_ok=True)
    (DOCS / "benchmarks.md").write_text(page())
