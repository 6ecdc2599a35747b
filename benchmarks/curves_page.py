"""The section of docs/benchmarks.md on how time and memory of a step grow, and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves"]

TITLES = {
    "members": "members P", "bins": "bins T", "units": "units N", "generator": "generator size",
}  # fmt: skip
COLOURS = {"compiled": "#0072B2", "portable": "#009E73", "eager": "#D55E00"}
NAMES = {"compiled": "compiled", "portable": "portable", "eager": "eager stand-in"}


def curves(result: dict[str, Any], figures: Path) -> str:  # JSON
    """Two figures and a table of every point."""
    for threads in _threads(result):
        _draw(result, threads, figures / f"curves_{threads}.svg")
    machine, base = result["machine"], result["base"]
    loads = [each["load_before"] for each in result["points"].values()]
    lines = [
        "## How time and memory of a step grow",
        "",
        f"`python benchmarks/curves.py`. {machine['processor']}, {machine['cores']} cores; products reach {machine['product_gflop_per_s']:.0f} GFLOP/s on one core, copies {machine['memory_gb_per_s']:.0f} GB/s. One size varies at",
        f"a time; the others are {base['members']} member, {base['bins']} bins, {base['units']} units (three quarters encoded), a generator of {base['generator']}, {base['trials']} trials, encoders of {base['encoder']} and {base['controller_encoder']}, a controller of {base['controller']},",
        f"{base['factors']} factors. Variants take turns; medians of processor time on one thread, of the clock on more (load {min(loads):.1f} to {max(loads):.1f} before). Every shape's gradients were first",
        "compared with the reference in float64. The floor is the step's products at the rate above, shared ideally by the threads, and in brackets what the compiled",
        "backend stores for its backward pass, written and read once at the rate of copies; small products can be faster than that rate. Memory is what the first step adds to the peak of its process, per member. What was freed after making the data is used again and not counted, so that a figure can be far too low where the data are large (500 and 1,000 units).",
        "",
    ]
    for threads in _threads(result):
        word = "thread" if threads == 1 else "threads"
        lines += [
            f"![Time and memory of a step, {threads} {word}](figures/curves_{threads}.svg)",
            "",
            f"| {threads} {word}: P, T, N, generator | GFLOP | floor, ms | "
            + " | ".join(f"{name}, ms per member" for name in NAMES.values())
            + " | times as fast as the stand-in | MB per member: "
            + ", ".join(NAMES.values())
            + " |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(each) for each in _points(result, threads)),
            "",
        ]
    return "\n".join(lines)


def _row(point: dict[str, Any]) -> str:
    found = [point["variants"].get(name) for name in NAMES]
    times = ["" if each is None else f"{each['ms_per_member']:.1f}" for each in found]
    memory = ["-" if each is None else f"{each['step_mb_per_member']:.0f}" for each in found]
    ratio = ""
    if found[-1] is not None:
        ratio = f"{found[-1]['ms_per_member'] / found[0]['ms_per_member']:.1f}"
    sizes = ", ".join(str(point[name]) for name in TITLES)
    floor = f"{point['floor_products_ms']:.1f} ({point['floor_copies_ms']:.1f})"
    return (
        f"| {sizes} | {point['gflop']:.1f} | {floor} | {' | '.join(times)} | {ratio} | "
        f"{', '.join(memory)} |"
    )


def _threads(result: dict[str, Any]) -> list[int]:
    return sorted({each["threads"] for each in result["points"].values()})


def _points(result: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    return [each for each in result["points"].values() if each["threads"] == threads]


def _on_curve(result: dict[str, Any], curve: str, threads: int) -> list[dict[str, Any]]:
    """Those where nothing but `curve` differs from the base."""
    base = result["base"]
    others = [name for name in TITLES if name != curve]
    found = [
        each
        for each in _points(result, threads)
        if all(each[name] == base[name] for name in others)
    ]
    return sorted(found, key=lambda each: each[curve])


def _draw(result: dict[str, Any], threads: int, path: Path) -> None:
    from lfads_torch.analysis.figures.encode import write_figure
    from lfads_torch.analysis.figures.look import new_figure, styled

    with styled():
        figure = new_figure(4.6)
        for place, (curve, title) in enumerate(TITLES.items()):
            on_curve = _on_curve(result, curve, threads)
            upper = figure.add_subplot(2, len(TITLES), place + 1)
            lower = figure.add_subplot(2, len(TITLES), len(TITLES) + place + 1)
            for name in COLOURS:
                _line(upper, on_curve, curve, name, "ms_per_member")
                _line(lower, on_curve, curve, name, "step_mb_per_member")
            x = [each[curve] for each in on_curve]
            floor = [each["floor_products_ms"] for each in on_curve]
            upper.plot(x, floor, color="#8A8F98", ls=":", lw=1, label="floor (products)")
            for axes in (upper, lower):
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_xticks(x, [str(each) for each in x])
                axes.set_xticks([], minor=True)
            lower.set_xlabel(title)
            if not place:
                upper.set_ylabel("ms per member and step")
                lower.set_ylabel("MB per member")
                upper.legend(frameon=False, fontsize=7)
        write_figure(path, figure)


def _line(axes: Axes, on_curve: list[dict[str, Any]], curve: str, name: str, what: str) -> None:
    known = [each for each in on_curve if name in each["variants"]]
    axes.plot(
        [each[curve] for each in known],
        [each["variants"][name][what] for each in known],
        color=COLOURS[name], marker="o", ms=3, lw=1, label=NAMES[name],
    )  # fmt: skip
