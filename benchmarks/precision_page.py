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
    "`python benchmarks/precision.py`. The same seeds, data, noise and epochs in both",
    "precisions; in bf16 the operands of all products of both recurrences are rounded, forward",
    "and backward, and sums, states, likelihood and optimiser are float32. The processor had no",
    "tiles for bf16, so its operands were rounded and multiplied as float32: these are the",
    "numbers of the definition, in the order of sums of that instruction set, and no time is",
    "compared. All figures are of test trials, which nothing was selected on; trained weights",
    "of both were applied in float32. Difference: bf16 minus float32, of each seed. Spread:",
    "standard deviation over the seeds in float32.",
    "",
    "In order: three seeds and 120 epochs of both recordings came first. On the Lorenz system that is half",
    "of the recipe's training, every score still rose, and one seed that lagged behind in bf16 decided the means.",
    "The recipe's own 250 epochs with six seeds were set down then, and after them six fresh seeds of the",
    "maze (120 epochs as before), whose PSTH R2 had been above the spread; both were run once.",
)

# Read off the results; to be read off anew when they change.
CONCLUSION = (
    "",
    "What this says: with six seeds (maze, 120 epochs; Lorenz, all 250 of the recipe) bf16 holds out what float32 does, every score",
    "within the spread of the seeds. The first three seeds of 120 epochs did not show it: Lorenz models were still on their way, and may",
    "stand elsewhere there. `auto` stays float32 all the same: where bf16 would be faster, on tiles or a GPU, it has not run yet.",
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
