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
    "sessions of 20 units each, no unit in two of them, 5 of each session's units held out.",
    "First with 3 training trials per condition and session, then (`few`) with 1; one more",
    "validates and one is test. Every model had the same number of updates, batches of 64 and",
    "the same sizes, and kept its best epoch by validation. All figures are of test trials, of",
    "one seed: nothing here says how much another seed would change. Gain: mean over sessions",
    "of the paired difference, with a 95 % bootstrap over the trials of these sessions. Sizes",
    "and updates were cut for time before any test score was looked at. The arms with few",
    "trials were set down after the first arm had shown a loss. A session is added to the model",
    "of the five, which had its 612 updates before; the 600 are of the new read-in and read-out",
    "alone, so that its row is not one of equal updates. A part that is not in the table has",
    "not been run to its end (two more parts were stopped; half-trained models are not reported).",
    "",
    "| what | updates | score | together | alone | gain | largest loss of a session |",
    "|---|---|---|---|---|---|---|",
)


def sessions(result: dict[str, Any]) -> str:
    """A row per arm and score."""
    rows = []
    titles = {**ARMS, **{f"{key}_few": f"few: {title}" for key, title in ARMS.items()}}
    for key, title in titles.items():
        found = result.get(key, {})
        named = {"": found} if "scores" in found else found
        for name, part in named.items():
            told = f"{title}: {name.replace('_', ' ')}" if name else title
            rows += _rows(told, part)
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


def _rows(title: str, part: dict[str, Any]) -> list[str]:
    return [
        "| {title} | {updates} | {name} | {ours:.3f} | {theirs:.3f} | {gain:+.3f} "
        "[{low:+.3f}, {high:+.3f}] | {loss:.3f} |".format(
            title=title,
            updates=part["updates"],
            name=NAMES[name],
            ours=found["ours"],
            theirs=found["theirs"],
            gain=found["gain"],
            low=found["interval_95"][0],
            high=found["interval_95"][1],
            loss=found["largest_loss"],
        )
        for name, found in part["scores"].items()
    ]
