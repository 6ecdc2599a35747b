"""The section of docs/benchmarks.md on a whole search, from the command to the page."""

from __future__ import annotations

from typing import Any

__all__ = ["whole_search"]

KERNELS = {
    "reference": "reference: the definition, PyTorch operations with autograd",
    "portable": "portable: PyTorch operations, backward pass by hand",
    "compiled": "compiled: the library",
}


def whole_search(result: dict[str, Any]) -> str:
    """Time of the clock by backend: all, and of it the epochs."""
    found = result["kernels"]
    slowest = max(each["whole_s"] for each in found.values())
    threads = result["threads"]
    epochs = next(iter(found.values()))["n_epochs"]
    lines = [
        "## A whole search",
        "",
        "`python benchmarks/whole_search.py`. The command `lfads search` on the maze recording, preset `maze_peer`, as a process of its own: reading,",
        f"{result['population']} members for {epochs} epochs each (ramps and {result['generations']} generation), validation, checkpoints, the ensemble, rates with posterior samples, scores with intervals, the page.",
        f"Once for every backend of the table, {threads} thread{'s' if threads != 1 else ''} of {result['machine']['processor']}, time of the clock. What is not epochs is done once, however long the search.",
        "",
        "| backend | whole command, s | epochs, s | the rest, s | s per member-epoch | times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in KERNELS.items():
        if name in found:
            each = found[name]
            per_epoch = each["epochs_s"] / each["n_epochs"] / result["population"]
            lines.append(
                f"| {title} | {each['whole_s']:.0f} | {each['epochs_s']:.0f} | {each['whole_s'] - each['epochs_s']:.0f} | {per_epoch:.3f} | {slowest / each['whole_s']:.2f} |"
            )
    return "\n".join(lines) + "\n"
