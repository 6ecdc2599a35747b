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

SELECTION_METHOD = (
    "`python benchmarks/maze_selection.py`. Rules of selection, compared on the same training runs: preset `maze_peer`, batches of",
    "at most 64, run seed 100, three members, 160 epochs, both ramps over at epoch 80. Every epoch's weights were kept; a rule keeps",
    "the best smoothed score with a patience of 40 epochs after the ramps. The score counts all entries of the validation trials, or",
    "held-out units only, or (for exploration, at every eighth epoch, which no setting offers) encoded entries while hidden from the",
    "encoder. Rules, seeds and splits were set down before any of these runs was looked at; only the masked rule was thinned later, from every fourth to every eighth epoch, for time. On `published` the same validation trials",
    "select and are reported, so a rule that selects on held-out units is favoured there. Everywhere else the reported trials",
    "selected nothing; held-out units are the same in both sets of trials.",
)
SELECTION_FINDING: tuple[str, ...] = (
    "What this says. The score of all entries, three quarters of which the encoder sees, is flat from about epoch 60 to 110: epochs differ",
    "there by a few 1e-5 nats, and one epoch's score scatters by 7e-5. Which of them is kept is half chance, and a rule that waits for the ramps takes a",
    "later one. Over the same epochs co-smoothing falls, for on validation trials held-out units are predicted best at epochs 38 to 64, and overfit from then on:",
    "their training loss goes on falling while validation and test rise. For encoded units neither rises that early. Copying is not the",
    "reason: encoded entries that are hidden from the encoder are predicted best as late as those that it sees, so choosing by them (masked)",
    "keeps the latest epochs and gives the least co-smoothing. Patience is not the reason either: without any, every rule",
    "keeps the same epochs of these 160. In the earlier run of seed 0 (three batches, above) the best epochs of all were 65, 68 and 77, and the best",
    "after the ramps 100, 88 and 85; that fits the lower co-smoothing of our own rule there, but those weights are gone and it was not measured.",
    "",
    "What to do. `training.score_entries=held_out` with `training.best_from=start` where co-smoothing is what counts; it costs the reproduction of",
    "encoded units and PSTH R2. With `best_from` left at `ramps` it gains nothing that can be told from a tie. The defaults stay: on test trials the",
    "gain is small, it has its price, it is of one split, and most fits hold out no units. On `published`, where the same trials select",
    "and are scored, the order of the rules is the same.",
)


SEARCH_FINDING: tuple[str, ...] = (
    "What this says, of 8 members and one seed on each of two splits: the population is above random search and above the published settings in all",
    "four scores on both splits. Against the population without exploitation it is above on the peer's split; on the other one three scores are ties and its",
    "PSTH R2 is lower. So the gain over fixed and random settings came back on other trials and units, and the gain of copying over perturbing alone did not.",
)


def stored(name: str) -> dict[str, Any] | None:  # JSON values
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def maze(result: dict[str, Any]) -> str:
    """One table: the protocols beside the peer."""
    names = {
        "two_batches": "validation, 2 balanced batches",
        "three_batches": "validation, 3 balanced batches",
        "fresh": "validation, 3 balanced batches, fresh seeds",
        "test": "test",
    }
    result = result | fresh_seeds(result)
    present = {key: title for key, title in names.items() if key in result}
    lines = [
        "## A single model on the maze recording",
        "",
        "`python benchmarks/maze_single.py`. The Neural Latents Benchmark's MC_Maze_Large, 165 trials of 5 ms bins; the peer's split,",
        "settings and way of selecting (best smoothed validation score of all epochs, held-out units inside the score). Mean of",
        "three seeds with a 95 % trial-bootstrap interval, then the seeds. The peer is lfads-torch, two seeds. The peer cuts its",
        "129 training trials into batches of 64, 64 and 1; ours are balanced, so both two and three batches an epoch are shown.",
        "Validation figures were used for selection. In the last column the peer's validation trials are a test set: nothing was",
        "selected on them, and a fifth of the other trials validates, so that fewer are left to train on.",
        "",
        "How these came about, in order, since each choice was made after looking at validation figures: first our own rule (the best",
        "epoch after both ramps, `training.best_from=ramps`, three batches, patience 150) gave a co-smoothing of .2538 (.2502, .2577,",
        ".2534), below the peer. Then all epochs were let count, as the peer does, and two batches were tried beside three. The two-batch",
        "column is therefore the more favourable of two variants, not a figure set out beforehand; three batches is the peer's own batch",
        "size. Runs ended after 40 epochs without a better score (at 118 to 152 epochs), where the peer trained 700. The",
        "peer's rates are not at hand, so nothing is paired: a peer's figure inside our interval is a tie, whichever mean is higher.",
        "The column of fresh seeds (100; 160 epochs, none stopped early) is of the runs of the next section, whose settings, seeds and rules were set",
        "down before any of them was looked at: the peer's batch size, and its way of selecting (there: all, from start).",
        f"All six seeds with three batches together: co-smoothing {six_seeds(result):.4f}.",
        "",
        "| score | peer | " + " | ".join(present.values()) + " |",
        "|---|---|" + "---|" * len(present),
    ]
    for score, peer in result[next(iter(present))]["scores"].items():
        cells = [
            "{mean:.4f} [{low:.3f}, {high:.3f}]<br>{seeds}".format(
                mean=entry["mean"],
                low=entry["interval_95"][0],
                high=entry["interval_95"][1],
                seeds=", ".join(f"{value:.4f}" for value in entry["seeds"]),
            )
            for entry in (result[key]["scores"][score] for key in present)
        ]
        told = ", ".join(f"{value:g}" for value in peer["peer"])
        lines.append(f"| {score} | {told} | " + " | ".join(cells) + " |")
    trials = ", ".join(f"{title}: {result[key]['n_trials']}" for key, title in present.items())
    lines += [
        "",
        f"Evaluated trials: {trials}. Split-half ceiling of the PSTH R2: {result['psth_ceiling']:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def fresh_seeds(result: dict[str, Any]) -> dict[str, Any]:
    """The peer's protocol on seeds that nothing was chosen on, from the runs that keep all epochs."""
    found = (stored("maze_selection") or {}).get("published")
    if found is None:
        return {}
    of_rule = found["rules"]["all, from start"]["scores"]
    peers = {key: each["peer"] for key, each in result["three_batches"]["scores"].items()}
    scores = {key: each | {"peer": peers[key]} for key, each in of_rule.items()}
    return {"fresh": {"scores": scores, "n_trials": found["n_trials"]["valid"]}}


def six_seeds(result: dict[str, Any]) -> float:
    """Mean co-smoothing of both sets of three seeds."""
    found = (result[key]["scores"] for key in ("three_batches", "fresh") if key in result)
    seeds = [value for each in found for value in each["co-smoothing, bits/spike"]["seeds"]]
    return float(np.mean(seeds))


def selection(result: dict[str, Any]) -> str:
    """Rules of selection on the same runs: what each keeps, and how it differs from the default."""
    splits = [key for key, value in result.items() if isinstance(value, dict) and "rules" in value]
    draw_selection(result, splits)
    lines = [
        "## Which epoch to keep",
        "",
        *SELECTION_METHOD,
        "",
        "Co-smoothing in bits per spike, mean of the seeds (epochs kept, from 0):",
        "",
        "| score counts, epochs that may be kept | " + " | ".join(splits) + " |",
        "|---|" + "---|" * len(splits),
    ]
    for rule in result[splits[0]]["rules"]:
        cells = [
            "{:.4f} ({})".format(
                found["scores"]["co-smoothing, bits/spike"]["mean"],
                ", ".join(str(epoch) for epoch in found["epochs"]),
            )
            for found in (result[split]["rules"][rule] for split in splits)
        ]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    together = result["test_sets_together"]
    names = list(next(iter(together["against_default"].values())))
    lines += [
        "",
        f"Each rule minus the default (all, from ramps) on test trials: {', '.join(together['splits'])}, paired by",
        "trials and seeds, with 95 % trial-bootstrap intervals. An interval that includes 0 is a tie.",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for rule, scores in together["against_default"].items():
        cells = [
            "{:+.4f} [{:+.3f}, {:+.3f}]".format(
                scores[name]["difference"], *scores[name]["interval_95"]
            )
            for name in names
        ]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    lines += ["", "![Scores by epoch](figures/maze_selection.svg)", "", *SELECTION_FINDING]
    return "\n".join(lines) + "\n"


def draw_selection(result: dict[str, Any], splits: list[str]) -> None:
    from matplotlib.figure import Figure

    from lfads_torch.analysis.figures.encode import write_figure

    colours = {"all": "#000000", "held_out": "#d55e00", "encoded": "#0072b2", "masked": "#009e73"}
    figure = Figure(figsize=(2.6 * len(splits), 2.6), layout="constrained")
    first = None
    for place, split in enumerate(splits):
        first = axes = figure.add_subplot(1, len(splits), place + 1, sharey=first)
        for entries, colour in colours.items():
            nats = np.array(result[split]["curves"][f"valid, {entries}"], dtype=float)
            known = np.flatnonzero(np.isfinite(nats))
            axes.plot(
                known, 1e3 * (nats[known] - np.nanmin(nats)), color=colour, lw=1, label=entries
            )
        axes.set_ylim(0, 2)
        axes.set_title(split, fontsize=9)
        axes.set_xlabel("epoch")
        if not place:
            axes.set_ylabel("validation score above its best\n(1e-3 nats per entry)")
            axes.legend(frameon=False, fontsize=7)
    write_figure(DOCS / "figures" / "maze_selection.svg", figure)


def lorenz(result: dict[str, Any]) -> str:
    """R2 per dimension over draws."""
    rows = [
        f"| draw {each['seed']} | " + " | ".join(f"{value:.3f}" for value in each["latent_r2"])
        + f" | {each['rate_r2']:.3f} |"
        for each in result["draws"]
    ]  # fmt: skip
    mean, deviation = result["mean"], result["standard_deviation"]
    return (
        "\n".join(
            [
                "## Lorenz system of the 2016 paper",
                "",
                "`python benchmarks/lorenz.py`. 65 conditions of 20 trials, 30 units; the paper's sizes. R2 of the true state per",
                f"dimension on validation trials, {len(rows)} draws of the weights. Bins of 10 ms; the paper's are of 2 ms, so the two",
                "are not measured on quite the same signal. (`--bin-width-s 0.002` is the paper's own, five times the work.)",
                "The centred state of each condition is divided by its absolute maximum. The authors' code has the signed maximum; per",
                "condition that blows up where a trial hardly leaves the lower lobe (rates over 1e5 spikes/s), and only the absolute one",
                "gives the recipe's mean and peak rate. Rate, ramps and divergence weight were tried out on draw 0 beforehand.",
                "",
                "| | x | y | z | rates, R2 |",
                "|---|---|---|---|---|",
                *rows,
                "| mean (standard deviation) | "
                + " | ".join(f"{m:.3f} ({s:.3f})" for m, s in zip(mean, deviation, strict=True))
                + " | |",
                "| published, LFADS | "
                + " | ".join(f"{value:.3f}" for value in result["published"]["LFADS"])
                + " | |",
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
                "finds the pulses, but its rates follow the noise of the counts (R2 below 0). A protocol with coordinated dropout (.3, our",
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
        "seeds and three splits would be): the intervals know trials, not seeds. Averaged are rates of the best models of different",
        "lines. Where nobody is copied these are as many independent models; in a population most lines die out early, so that the",
        "other lines' best models are old ones, and in a random search some drew bad values: averaging them in can make rates worse.",
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
        lines.append(
            _score_row(
                f"{ARMS[arm]}: rates of {found['arms'][arm]['n_in_ensemble']} lines averaged, minus the best",
                found["arms"][arm]["ensemble_minus_best"],
                names,
            )
        )
    others = [arm for arm in arms if arm != "population"]
    lines += _beside(found, arms)
    if others:
        lines += ["", f"| population minus | {' | '.join(names)} |", head[1]]
        for arm in others:
            lines.append(_score_row(ARMS[arm], found["arms"][arm]["population_minus_this"], names))
    trained = ", ".join(
        f"{ARMS[arm]} {found['arms'][arm]['member_epochs']} member-epochs, "
        f"{found['arms'][arm]['training_s'] / found['arms'][arm]['member_epochs']:.2f} s each"
        for arm in arms
    )
    return [*lines, "", f"Trained: {trained} (one thread, beside other work).", ""]


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
        ("maze_single", maze),
        ("maze_selection", selection),
        ("lorenz_10ms", lorenz),
        ("pulses", pulses),
        ("maze_search", maze_search),
        ("sessions", sessions),
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
