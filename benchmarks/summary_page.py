"""The first section of docs/benchmarks.md: what one wants to know, from the results of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maze_page import fresh_seeds
from maze_search_page import ARMS, sides

__all__ = ["QUESTIONS", "anchor", "summary"]

Results = dict[str, dict[str, Any]]  # name of the file -> JSON values
SIZE = "20 members, 12 generations of 10 epochs"


def summary(results: Results) -> str:
    """A row per question of which all results are there."""
    rows = [
        f"| {question} | {answer(results)} | [{section}]({anchor(section)}) |"
        for question, needed, section, answer in QUESTIONS
        if all(name in results for name in needed)
    ]
    lines = [
        "## In short",
        "",
        "| question | what was measured | section |",
        "|---|---|---|",
        *rows,
        "| And on a GPU? | Nothing: there was none. | |",
    ]
    return "\n".join(lines) + "\n"


def anchor(section: str) -> str:
    """The link to a section of the page by its title."""
    return "#" + section.lower().replace(",", "").replace(":", "").replace(" ", "-")


def _rates(results: Results) -> str:
    protocols = results["maze_single"] | fresh_seeds(
        results["maze_single"], results["maze_selection"]
    )
    told = []
    for name, entry in protocols["three_batches"]["scores"].items():
        ours = [*entry["seeds"], *protocols["fresh"]["scores"][name]["seeds"]]
        peers = ", ".join(f"{value:.3f}" for value in entry["peer"])
        told.append(f"{_short(name)} {sum(ours) / len(ours):.3f} ({peers})")
    return f"Its split, settings and way of selecting (on the same validation trials); mean of {len(ours)} seeds, in brackets its two: {'; '.join(told)}."


def _search(results: Results) -> str:
    by_split = results["maze_search"][SIZE]
    searches = [found for by_seed in by_split.values() for found in by_seed.values()]
    told = []
    for arm in list(ARMS)[1:]:
        differences = [found["arms"][arm]["population_minus_this"] for found in searches]
        counts = "; ".join(
            f"{_short(name)} {' '.join(map(str, sides(differences, name)))}"
            for name in differences[0]
        )
        told.append(f"{ARMS[arm]}: {counts}")
    return f"{len(searches)} searches of {SIZE}; in how many the population's best model is above, tied with (paired 95 % interval of test trials) and below the best of<br>{'<br>'.join(told)}."


def _step(results: Results) -> str:
    shape = results["kernel_steps"]["shapes"]["maze"]
    told = []
    for backend in ("compiled", "portable"):
        ratios = [
            each["times_faster_than_peer"]
            for groups in shape["threads"].values()
            for members, variants in groups.items()
            for name, each in variants.items()
            if name == f"{backend}, P = {members}"
        ]
        low, high = (f"{ratio:.1f}" for ratio in (min(ratios), max(ratios)))
        told.append(f"{backend} kernels {low if low == high else f'{low} to {high}'} times as fast")
    threads = " and ".join(sorted(shape["threads"]))
    members = " and ".join(dict.fromkeys(m for each in shape["threads"].values() for m in each))
    return f"Per member, {results['kernel_steps']['machine']['processor']}, threads {threads}, members {members}: {'; '.join(told)}."


def _whole_search(results: Results) -> str:
    found = results["whole_search"]
    first = next(iter(found["kernels"].values()))
    told = ", ".join(f"{name} {each['whole_s']:.0f} s" for name, each in found["kernels"].items())
    return f"Maze recording, {found['population']} members, {first['n_epochs']} epochs, {found['threads']} threads, by kernels: {told}."


def _memory(results: Results) -> str:
    found = results["population_cost"]["members"]
    costs = {name: each["mb_per_additional_member"] for name, each in found.items()}
    told = ", ".join(f"{cost:.0f} MB of {name}" for name, cost in costs.items() if cost is not None)
    return f"Maze model, compiled kernels, by members and how many train at once: {told}."


def _lorenz(results: Results) -> str:
    found = results["lorenz_2ms"]
    ours, published = (
        " ".join(f"{value:.2f}" for value in values)
        for values in (found["mean"], found["published"]["LFADS"])
    )
    return f"R2 of the three dimensions, mean of {len(found['draws'])} draws: {ours}; published {published}."


def _inputs(results: Results) -> str:
    found = results["pulses"]["coordinated_dropout"]
    told = "; ".join(
        f"g {gain}, coordinated dropout {rate}: {100 * each['by_stationary']['within_30_ms']:.0f} % within 30 ms, R2 of the rates {each['rate_r2']:.2f}"
        for rate, systems in found.items()
        for gain, each in systems.items()
        if gain != "control"
    )
    return f"{told}."


def _precision(results: Results) -> str:
    told = []
    for part, name in (
        ("maze", "maze"),
        ("maze_fresh", "fresh seeds"),
        ("lorenz", "Lorenz"),
        ("lorenz_whole", "trained to the recipe's end"),
    ):
        found = results["precision"][part]
        compared, epochs = found["compared"], found["bf16"]["epochs"]
        within = sum(each["is_within_spread"] for each in compared.values())
        n_seeds = len(next(iter(compared.values()))["differences"])
        told.append(f"{name}, {n_seeds} seeds, {epochs} epochs: {within} of {len(compared)}")
    return f"Scores whose mean difference lies within the spread of the seeds: {'; '.join(told)}."


def _continuous(results: Results) -> str:
    told = []
    for key, past in (("acausal", "past and future"), ("causal", "the past alone")):
        for decoder in ("one lag", "all lags"):
            found = results["continuous"][key][decoder]
            models = [each["test"] for each in found["models"]]
            smoothed = found["smoothed spikes"]["test"]
            told.append(
                f"rates from {past}, {decoder} {sum(models) / len(models):.2f} ({smoothed:.2f})"
            )
    return f"R2 of hand velocity (of smoothed spikes): {'; '.join(told)}."


def _short(score: str) -> str:
    return score.split(",")[0]


Answer = Callable[[Results], str]
# Question, the results that it needs, its section, and who answers.
QUESTIONS: tuple[tuple[str, tuple[str, ...], str, Answer], ...] = (
    (
        "Are the rates as good as those of lfads-torch?",
        ("maze_single", "maze_selection"),
        "A single model on the maze recording",
        _rates,
    ),
    (
        "Does AutoLFADS find better models?",
        ("maze_search",),
        "Searching hyperparameters on the maze recording",
        _search,
    ),
    (
        "Does it find the state of a known system?",
        ("lorenz_2ms",),
        "Lorenz system of the 2016 paper",
        _lorenz,
    ),
    (
        "Does it find inputs?",
        ("pulses",),
        "Input pulses into a chaotic network",
        _inputs,
    ),
    (
        "Does it decode better than smoothed spikes?",
        ("continuous",),
        "A continuous recording: chopped, merged, decoded",
        _continuous,
    ),
    (
        "How fast is a training step, beside lfads-torch's?",
        ("kernel_steps",),
        "Time of a training step",
        _step,
    ),
    (
        "How long is a short search, from file to page?",
        ("whole_search",),
        "A whole search",
        _whole_search,
    ),
    (
        "Is anything lost in bf16?",
        ("precision",),
        "float32 and bf16",
        _precision,
    ),
    (
        "What memory takes one more member?",
        ("population_cost",),
        "What a member of a population costs",
        _memory,
    ),
)
