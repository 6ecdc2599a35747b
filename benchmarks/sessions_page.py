"""The section of the benchmarks' page on sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["sessions"]

Result = dict[str, Any]  # JSON values
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
    "`python benchmarks/sessions.py`. A chaotic network of 100 units, 150 conditions, bins of",
    "20 ms; five sessions of 20 units each, no unit in two of them, 5 of each session's units",
    "held out, one training trial per condition and session; one more validates and one is",
    "test. Every model: the same sizes, batches of 64, at most 3000 updates; training ends",
    "where the validation score has not fallen for 800 updates (the updates that each took are",
    "in the table), and the best epoch by validation is kept. This protocol was set down from",
    "validation scores of another network, on which a single model was at its best after some",
    "650 updates and overfitted from then on, while the stitched one still fell after 1500. One",
    "trial per condition, longer training and these bins were chosen after network 0 had shown a",
    "loss on its test trials with three trials, so that its row is no fresh confirmation; network",
    "1 was trained once all of that stood.",
    "Figures are of test trials. Gain: mean over sessions of the paired difference, with a 95 %",
    "bootstrap over the trials of these sessions; what another network or seed would give is",
    "seen from the rows alone. Conditions that are relabelled change only where read-ins and",
    "read-outs start: the sessions still share their network, and training can make up for it. A",
    "session is added with updates of its read-in and read-out alone, after those of the model of",
    "five. Of the maze, 49 trials make one step an epoch, and with the sizes and ramps of the",
    "networks a model of one half is overfit before its ramps are over (its co-smoothing is below",
    "0), so that the gain over it says little; the settings of lfads-torch for this recording",
    "were added once that had been seen. A part that is not in the table has not been run to its",
    "end.",
    "",
    "| what | network | updates | alone | score | together | alone | gain | largest loss |",
    "|---|---|---|---|---|---|---|---|---|",
)


def sessions(result: Result) -> str:
    """A row per arm, network and score; what was found earlier in a sentence."""
    rows = []
    for key, title in ARMS.items():
        for name in (key, f"{key}_3"):
            told = title if name == key else f"3 training trials per condition: {title}"
            for seed, found in result.get(name, {}).items():
                for part, one in _parts(found):
                    rows += _rows(f"{told}{part}", seed, one)
    return "\n".join([*INTRODUCTION, *rows, *_alignment(result), *_earlier(result)]) + "\n"


def _parts(found: Result) -> Iterator[tuple[str, Result]]:
    if "scores" in found:
        yield "", found
    else:
        for name, one in found.items():
            yield f": {name.replace('_', ' ')}", one


def _rows(title: str, seed: str, part: Result) -> list[str]:
    alone = part["updates_alone"]
    taken = str(alone[0]) if len(set(alone)) == 1 else f"{min(alone)} to {max(alone)}"
    return [
        "| {title} | {seed} | {updates} | {taken} | {name} | {ours:.3f} | {theirs:.3f} | "
        "{gain:+.3f} [{low:+.3f}, {high:+.3f}] | {loss:.3f} |".format(
            title=title,
            seed=seed,
            updates=part["updates"],
            taken=taken,
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


def _alignment(result: Result) -> list[str]:
    lines = []
    for seed, found in result.get("stitched", {}).items():
        told = ", ".join(
            f"{each['variance_explained']:.2f} ({each['variance_explained_shuffled']:.2f})"
            for each in found["alignment"]
        )
        lines += [
            "",
            f"Alignment of the five sessions of network {seed}, held out by condition (conditions "
            f"exchanged): {told}.",
        ]
    return lines


def _earlier(result: Result) -> list[str]:
    """Of the runs before this protocol: bins of 10 ms, 3 training trials, 612 updates."""
    before = result.get("earlier", {})
    if not before:
        return []
    stitched, added = before["stitched"], before["added"]["all_trials"]
    return [
        "",
        "Earlier, in bins of 10 ms and with 3 training trials per condition, "
        f"{stitched['updates']} updates (nothing had converged): together {_gains(stitched)} "
        f"against each alone, at most {_loss(stitched)} lost by a session; a session added to that "
        f"model {_gains(added)}.",
    ]


def _gains(part: Result) -> str:
    bits, truth = (part["scores"][name]["gain"] for name in NAMES)
    return f"{bits:+.3f} bits/spike and {truth:+.3f} in R2 of the true rates"


def _loss(part: Result) -> str:
    bits, truth = (part["scores"][name]["largest_loss"] for name in NAMES)
    return f"{bits:.3f} and {truth:.3f}"
