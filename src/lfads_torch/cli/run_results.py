"""What a fit prints at its end, and the exit code that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.cli.outcome import INTERRUPTED_CODE, TERMINATED_CODE
from lfads_torch.cli.scores_table import headline
from lfads_torch.cli.streams import aligned, say

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["print_run"]


def print_run(run: RunFolder, *, is_quiet: bool = False) -> int:
    """Where the results are and the headline scores; or how to go on, after a signal."""
    from lfads_torch.workflows.finish import MERGED

    record = run.read_record()
    if record.status != "finished":
        if is_quiet:  # else the watch has said so already
            say(f"stopped; go on with: lfads resume {run.path}")
        return TERMINATED_CODE if record.reason == "SIGTERM" else INTERRUPTED_CODE
    results = [("run", run.path), ("rates", run.rates_path)]
    results += [
        (f"rates of {name}", run.path / place / run.rates_path.name)
        for name, place in record.sessions.items()
    ]
    results += [("merged", run.path / MERGED)]  # of a continuous session
    results += [("scores", run.scores_path), ("page", run.report_path)]
    results += [("history", run.history_path)]  # of a search
    if not is_quiet and run.scores_path.is_file():
        from lfads_torch.analysis.report_scores import score_rows

        text = headline(score_rows(run.read_scores()))
        print(f"scores:\n{text}" if text else "no score applies")
    print(aligned([(f"{name}:", str(path)) for name, path in results if path.exists()]))
    return 0
