"""What the data check gives back: findings, each with its remedy, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lfads_torch.data.check.estimate import FitEstimate

__all__ = ["CheckReport", "Finding", "RecordingSummary", "Severity", "errors_of", "listed"]

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know. error: a fit can't work; warning: it will suffer; note: look at it."""

    severity: Severity
    code: str  # stable, for programs
    message: str  # where and what was found
    remedy: str  # what to do


@dataclass(frozen=True, kw_only=True)
class RecordingSummary:
    """Shapes and rates.

    Rates are spikes/s for spike counts, the mean value per bin otherwise; where units have several
    families, each by its own.
    """

    session: str
    n_trials: int
    n_bins: int
    n_units: int
    bin_width_s: float
    n_conditions: int | None
    n_external_inputs: int
    n_train: int | None  # None without a split
    n_valid: int | None
    n_test: int | None
    n_held_out_units: int | None
    n_forward_bins: int | None
    is_spike_counts: bool  # all values are whole numbers of at least 0
    families: dict[str, int]  # family -> its units
    suited_families: tuple[str, ...]  # the family that suits each unit's values, in file order
    total: float
    largest: float
    fraction_missing: float
    unit_rates: tuple[float, ...]  # in file order; 0 for a unit that is all missing
    shortest_trial_bins: int | None = None  # None: every trial has n_bins
    behaviour: tuple[str, ...] = ()  # names of what a fit decodes


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Findings, errors first, and what the recording and a fit of it look like."""

    findings: tuple[Finding, ...]
    summary: RecordingSummary
    estimate: FitEstimate

    def to_json(self) -> dict[str, Any]:  # JSON values
        """The report as JSON values, for `check.json` and `--json`."""
        return {"format": "lfads-torch check", "format_version": 1, **asdict(self)}


def errors_of(report: CheckReport) -> tuple[Finding, ...]:
    """The findings for which a fit must be refused."""
    return tuple(finding for finding in report.findings if finding.severity == "error")


def listed(values: Sequence[Any], *, at_most: int = 8) -> str:  # ids or positions
    """The first few values as text, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:at_most])
    return shown if len(values) <= at_most else f"{shown} and {len(values) - at_most} more"
