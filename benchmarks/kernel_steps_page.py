"""The section of docs/benchmarks.md on the time of a training step."""

from __future__ import annotations

from typing import Any

__all__ = ["kernel_steps"]

METHOD = (
    "Before anything is timed the gradients of the stand-in and of the backends must agree with that of our reference.",
    "Every variant is a process of its own and takes its turn in every round; each group of members has the first rows beside it.",
    "Random numbers of our variants come from the compiled library. The floor is the time of the step's products alone, all of them, at",
    "the rate of a large product of PyTorch's library on one core; the compiled backend leaves out the products with the zeros among the counts,",
    "and its own small products are faster than that library's on this processor, so the floor is a mark, not a bound.",
    "`K at once`: the population trains in groups, one after the other, as many at once as a run takes by itself.",
)
STAND_IN = (
    "The eager stand-in is `benchmarks/eager_step.py`, our own code from the equations, which works as lfads-torch does",
    "(one cell call for every bin and module, operands joined in every bin, masks by PyTorch, log-factorials and metrics in every step).",
)
PEER = (
    "`lfads-torch` is the peer itself (`benchmarks/incumbent_step.py`): the package of https://github.com/arsedler9/lfads-torch, which is",
    "no part of this repository, with the same sizes, as many weights and the same batch. Its `training_step`, `backward`, clipping and its own optimiser are timed;",
    "Lightning's trainer, logging and the collation of batches are left out, in its favour; the bits per spike that it works out in every step",
    "are left in (ours come once an epoch). Of its model the number of weights is checked, not the gradient.",
)
RATIO = "times_faster_than_peer"  # results of older runs, and of runs without it, have none
PEER_ROW, EAGER_ROW = "lfads-torch, P = 1", "eager, P = 1"


def kernel_steps(result: dict[str, Any]) -> str:
    """Time of a whole training step by backend, beside lfads-torch and the eager stand-in."""
    machine = result["machine"]
    has_peer = any(RATIO in each for each in _variants(result))
    lines = [
        "## Time of a training step",
        "",
        f"`python benchmarks/kernel_steps.py`. {machine['processor']}, {machine['cores']} cores; products reach {machine['product_gflop_per_s']:.0f} GFLOP/s on one core, copies",
        f"{machine['memory_gb_per_s']:.0f} GB/s. Medians of {result['rounds']} rounds: processor time on one thread, time of the clock on more (load {machine['load_before']:.1f} before; with much",
        "other work expect 15 % either way).",
        *(PEER if has_peer else ()),
        *STAND_IN,
        *METHOD,
        "",
    ]
    for name, shape in result["shapes"].items():
        lines += [
            f"**{name}**: {shape['trials']} trials, {shape['encoded_bins']} encoded and {shape['bins']} generated bins, {shape['encoded_units']} of {shape['units']} units encoded, {shape['spikes_per_entry']:g} spikes per",
            f"entry; encoders {shape['encoder']} and {shape['controller_encoder']}, controller {shape['controller']}, generator {shape['generator']}, factors {shape['factors']}. {shape['gflop']:.1f} GFLOP, floor {shape['floor_ms']:.0f} ms.",
            "",
        ]
        for threads, groups in shape["threads"].items():
            lines += [*_table(threads, groups, shape["floor_ms"]), ""]
    return "\n".join([*lines, *_stand_in(result), ""])


def _variants(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        each
        for shape in result["shapes"].values()
        for groups in shape["threads"].values()
        for variants in groups.values()
        for each in variants.values()
    ]


def _table(threads: str, groups: dict[str, Any], floor_ms: float) -> list[str]:
    """All groups of members on so many threads."""
    rows = [row for variants in groups.values() for row in variants.items()]
    has_peer = any(RATIO in each for _, each in rows)
    head = [
        f"{threads} thread{'s' if threads != '1' else ''}", "backend", "operator calls",
        "ms per member, median", "fastest", "times the floor",
        *(["times as fast as lfads-torch"] if has_peer else []), "times as fast as the stand-in",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1)]
    for variant, each in rows:
        peer = [f"{each[RATIO]:.2f}" if RATIO in each else ""] if has_peer else []
        cells = [
            variant, each["backend"], str(each["operator_calls"]),
            f"{each['ms_per_member']:.0f}", f"{each['fastest_ms_per_member']:.0f}",
            f"{each['ms_per_member'] / floor_ms:.1f}",
            *peer, f"{each['times_faster_than_eager']:.2f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _stand_in(result: dict[str, Any]) -> list[str]:
    """How the stand-in compares with lfads-torch, where that was timed beside it."""
    elsewhere = result["incumbent"]
    low, high = elsewhere["times_its_products"]
    pairs = [
        (name, threads, variants)
        for name, shape in result["shapes"].items()
        for threads, groups in shape["threads"].items()
        for variants in groups.values()
        if PEER_ROW in variants
    ]
    if not pairs:
        return [
            f"How the stand-in compares: lfads-torch itself was not timed here (`--incumbent`). Of it about {elsewhere['operator_calls']} operator calls a step were counted on",
            f"another machine, and a step took {low} to {high} times its products there. Calls are counted differently (here every call below autograd).",
            "The stand-in takes fewer times its products than lfads-torch did there.",
        ]
    told = "; ".join(
        f"{name}, {threads} thread{'s' if threads != '1' else ''}: {variants[EAGER_ROW][RATIO]:.2f}"
        for name, threads, variants in pairs
    )
    peer = pairs[0][2][PEER_ROW]
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    return [
        f"How the stand-in compares: it is this many times as fast as lfads-torch, group by group: {told}. It makes {pairs[0][2][EAGER_ROW]['operator_calls']} operator calls a step,",
        f"lfads-torch {peer['operator_calls']} ({versions}). On another machine a step of lfads-torch took {low} to {high} times its products.",
    ]
