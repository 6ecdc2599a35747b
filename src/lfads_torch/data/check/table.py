"""The data check as a table that a person can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.data.check.estimate import FitEstimate
from lfads_torch.data.check.report import CheckReport, RecordingSummary

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["check_table"]

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check_table(report: CheckReport) -> RenderableType:
    """Sizes, rates and cost, then the findings with their remedies, for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    sizes = Table(title=Text(f"Recording {report.summary.session}"), show_header=False)
    sizes.add_column(no_wrap=True)
    sizes.add_column(overflow="fold")
    for name, value in _rows(report.summary, report.estimate):
        sizes.add_row(Text(name), Text(value))
    if not report.findings:
        return Group(sizes, Text("No findings: nothing unusual in this recording.", style="green"))
    findings = Table(title="Findings", show_lines=True)
    findings.add_column("", no_wrap=True)
    findings.add_column("found", overflow="fold")
    findings.add_column("what to do", overflow="fold")
    for finding in report.findings:
        label = Text(finding.severity, style=COLOURS[finding.severity])
        label.append(f"\n{finding.code}", style="dim")
        findings.add_row(label, Text(finding.message), Text(finding.remedy))
    return Group(sizes, findings)


def _rows(summary: RecordingSummary, estimate: FitEstimate) -> list[tuple[str, str]]:
    duration = f"{summary.n_bins * summary.bin_width_s:g} s"
    if summary.shortest_trial_bins is not None:
        duration = f"{summary.shortest_trial_bins * summary.bin_width_s:g} to {duration}"
    rates = np.array(summary.unit_rates)
    kind = "rates of units, spikes/s" if summary.is_spike_counts else "means of units, per bin"
    if len(summary.families) > 1:
        kind = "rates (spikes/s) or means of units"
    families = ", ".join(f"{n} {family}" for family, n in summary.families.items())
    rows = [
        ("trials x bins x units", f"{summary.n_trials} x {summary.n_bins} x {summary.n_units}"),
        ("observation of units", families),
        ("bin width, trial", f"{1000 * summary.bin_width_s:g} ms, {duration}"),
        (kind, f"{rates.min():.3g} to {rates.max():.3g}, median {np.median(rates):.3g}"),
        ("total, largest value", f"{summary.total:.6g}, {summary.largest:g}"),
        ("missing", f"{summary.fraction_missing:.3%}"),
    ]
    if summary.n_conditions is not None:
        rows.append(("conditions", str(summary.n_conditions)))
    if summary.behaviour:
        rows.append(("behaviour (only scored)", ", ".join(summary.behaviour)))
    if summary.n_external_inputs:
        rows.append(("external inputs", str(summary.n_external_inputs)))
    if summary.n_train is not None:
        sets = f"{summary.n_train} / {summary.n_valid} / {summary.n_test}"
        rows.append(("train / validation / test trials", sets + _unused(summary)))
        rows.append(
            (
                "held-out units, forward bins",
                f"{summary.n_held_out_units}, {summary.n_forward_bins}",
            )
        )
    rows.append(("time of a fit (estimate)", _duration(estimate)))
    rows.append(("memory of a fit (estimate)", f"{estimate.memory_bytes / 2**30:.2g} GiB"))
    if estimate.members_at_once > 1:
        rows.append(("members that train at once", str(estimate.members_at_once)))
    return rows


def _unused(summary: RecordingSummary) -> str:
    in_use = (summary.n_train or 0) + (summary.n_valid or 0) + (summary.n_test or 0)
    return f", {summary.n_trials - in_use} unused" if in_use < summary.n_trials else ""


def _duration(estimate: FitEstimate) -> str:
    units = ((3600.0, "h"), (60.0, "min"), (0.0, "s"))
    size, unit = next(one for one in units if estimate.seconds >= one[0])
    size = size or 1.0
    return (
        f"up to {estimate.seconds / size:.1f} {unit} on this machine's processor, "
        f"{estimate.seconds_per_epoch:.2g} s per epoch"
    )
