"""The section of docs/benchmarks.md on a whole epoch."""

from __future__ import annotations

from typing import Any

__all__ = ["whole_epoch"]


def whole_epoch(result: dict[str, Any]) -> str:  # JSON
    """A row per number of threads and precision."""
    machine = result["machine"]
    rows = [
        f"| {each['threads']} | {each['backend']}, {each['precision']} | "
        f"{each['ours_s']:.2f} ({each['ours_fastest_s']:.2f}) | "
        f"{each['eager_s']:.2f} ({each['eager_fastest_s']:.2f}) | {each['times_faster']:.1f} |"
        for each in result["epochs"]
    ]
    lines = [
        "## A whole epoch",
        "",
        "`python benchmarks/whole_epoch.py`. The preset `maze_peer` on the maze recording, one",
        "model: training steps, validation pass, score, a line of metrics and a checkpoint in",
        "every epoch, as `lfads fit` does them. Beside it the eager stand-in of lfads-torch on as",
        "many batches of as many trials, with its metrics in each step, a validation pass, a line",
        "of metrics and a checkpoint by `torch.save`; Lightning, which adds to that, is left out.",
        f"They take turns epoch by epoch, {result['rounds']} rounds; processor time on one thread,",
        f"time of the clock on more; {machine['processor']}, load {machine['load_before']} before.",
        "",
        "| threads | backend | ours, s, median (fastest) | stand-in, s | times as fast |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"
