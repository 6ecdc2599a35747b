"""The section of the benchmarks' page on sessions."""

from __future__ import annotations

from typing import Any

__all__ = ["sessions"]

ARMS = {
    "stitched": "five sessions of one network, against each alone",
    "shuffled": "the same, conditions relabelled in each session, against each alone",
    "strangers": "five different networks (negative control), against each alone",
    "maze": "maze, half the units on odd and half on even trials, against each alone",
    "added": "a sixth session added, all else frozen, against a model of its own",
}
NAMES = {"co_smoothing": "co-smoothing, bits/spike", "true_rates_r2": "R2 of the true rates"}
INTRODUCTION = (
    "## Several sessions in one model",
    "",
    "`python benchmarks/sessions.py`. A chaotic network of 100 units, 150 conditions; five",
    "sessions of 20 units each, no unit in two of them; 5 trials per condition and session (3",
    "train, 1 validates, 1 is test), 5 of each session's units held out. Every model had the same number",
    "of updates, batches of 64 and the same sizes, and kept its best epoch by validation. All",
    "figures are of test trials; one seed, so nothing here says how much another seed would change. Gain:",
    "mean over sessions of the paired difference, with a 95 % bootstrap over the trials of these",
    "sessions. Sizes and updates were halved for time after two single runs, before any test score",
    "was looked at. A part that is not in the table has not been run.",
    "",
    "| what | score | together | alone | gain | largest loss of a session |",
    "|---|---|---|---|---|---|",
)


def sessions(result: dict[str, Any]) -> str:
    """A row per arm and score."""
    rows = []
    for key, title in ARMS.items():
        if key not in result:
            continue
        found = result[key]
        parts = {title: found} if "scores" in found else {
            f"{title}: {name.replace('_', ' ')}": part for name, part in found.items()
        }  # fmt: skip
        rows += [row for name, part in parts.items() for row in _rows(name, part["scores"])]
    alignment = result.get("stitched", {}).get("alignment", ())
    told = ", ".join(
        f"{each['variance_explained']:.2f} ({each['variance_explained_shuffled']:.2f})"
        for each in alignment
    )
    beside = [
        "",
        f"Alignment of the five sessions, held out by condition (conditions exchanged): {told}.",
    ]
    return "\n".join([*INTRODUCTION, *rows, *(beside if told else [])]) + "\n"


def _rows(title: str, scores: dict[str, Any]) -> list[str]:
    return [
        "| {title} | {name} | {ours:.3f} | {theirs:.3f} | {gain:+.3f} "
        "[{low:+.3f}, {high:+.3f}] | {loss:.3f} |".format(
            title=title,
            name=NAMES[name],
            ours=found["ours"],
            theirs=found["theirs"],
            gain=found["gain"],
            low=found["interval_95"][0],
            high=found["interval_95"][1],
            loss=found["largest_loss"],
        )
        for name, found in scores.items()
    ]
