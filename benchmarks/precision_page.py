"""The section of the benchmarks' page on float32 and bf16."""

from __future__ import annotations

from typing import Any

__all__ = ["precision"]

TITLES = {
    "maze": "maze, preset `maze_peer`, peer's split",
    "maze_fresh": "the same, six fresh seeds",
    "lorenz": "Lorenz at 10 ms, half the recipe's epochs",
    "lorenz_whole": "Lorenz at 10 ms, all epochs of the recipe, six seeds",
}
INTRODUCTION = (
    "## float32 and bf16",
    "",
    "`python benchmarks/precision.py`. The same three seeds, data, noise and 120 epochs in both",
    "precisions; in bf16 the operands of all products of both recurrences are rounded, forward",
    "and backward, and sums, states, likelihood and optimiser are float32. The processor had no",
    "tiles for bf16, so its operands were rounded and multiplied as float32: these are the",
    "numbers of the definition, in the order of sums of that instruction set, and no time is",
    "compared. All figures are of test trials, which nothing was selected on; trained weights",
    "of both were applied in float32. Difference: bf16 minus float32, of each seed. Spread:",
    "standard deviation over the three seeds in float32.",
)

# Read off the results of three seeds on both recordings; to be read off anew when they change.
CONCLUSION = (
    "",
    "What this says: on the maze recording bf16 holds out what float32 does, four scores within",
    "the spread of the seeds and PSTH R2 above it. On the Lorenz system every mean is lower, most",
    "by more than that spread, and one of the three seeds makes most of the loss. So it is not",
    "shown that nothing is lost, and `auto` stays float32.",
)


def precision(result: dict[str, Any]) -> str:
    """A table for each recording; only what was run to its end."""
    lines = list(INTRODUCTION)
    for key, title in TITLES.items():
        if key in result:
            lines += ["", f"### {title[0].upper()}{title[1:]}", "", *_table(result[key])]
    return "\n".join([*lines, *CONCLUSION]) + "\n"


def _table(part: dict[str, Any]) -> list[str]:
    rows = [
        "| score | float32 | bf16 | difference by seed | mean difference | spread | within |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in part["compared"].items():
        seeds = ", ".join(f"{value:+.4f}" for value in found["differences"])
        rows.append(
            f"| {name} | {found['float32']:.4f} | {found['bf16']:.4f} | {seeds} | "
            f"{found['mean_difference']:+.4f} | {found['spread_of_seeds']:.4f} | "
            f"{'yes' if found['is_within_spread'] else 'no'} |"
        )
    backends = " and ".join(f"`{part[each]['backend']}`" for each in ("float32", "bf16"))
    return [*rows, "", f"Backends: {backends}, {part['bf16']['epochs']} epochs."]
