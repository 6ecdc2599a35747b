"""The folder a run leaves behind: where each file lies, and how to make and open one.

Every file is written whole or not at all, so that a folder is readable at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfads_torch.atomic import (
    PART_SUFFIX,
    output_error,
    require_writable_folder,
    write_text,
)
from lfads_torch.errors import LfadsError, OutputError, RunError
from lfads_torch.outputs.json_text import json_text, plain
from lfads_torch.outputs.metrics_log import MetricsLog
from lfads_torch.outputs.run_lock import LockHolder, hold_lock, living_holder
from lfads_torch.outputs.run_record import (
    FINISHED,
    INTERRUPTED,
    RUNNING,
    STATUSES,
    RunRecord,
    now_text,
)

__all__ = ["FORMAT", "FORMAT_VERSION", "RunFolder", "discard_runs", "list_runs"]

FORMAT = "lfads-torch run"
FORMAT_VERSION = 1

RECORD = "run.json"
SETTINGS = "settings.yaml"
SPLIT = "split.json"
CHECK = "check.json"
METRICS = "metrics.jsonl"
LAST = "checkpoints/last.safetensors"
BEST = "checkpoints/best.safetensors"
GENERATION = "checkpoints/generation.safetensors"
HISTORY = "history.csv"
SPACE = "space.yaml"
RATES = "rates.nc"
SCORES = "scores.json"
REPORT = "report.html"
LOG = "log.txt"
LOCK = "lock.json"

# Without any of these, nothing that took time to compute would be lost.
RESULTS = (METRICS, HISTORY, LAST, BEST, RATES, SCORES, REPORT)
OURS = (
    SETTINGS, SPLIT, CHECK, SPACE, *RESULTS, GENERATION, LOG, "recording.h5", "model.json",
    "alignment.json", "checkpoints/start.safetensors", "ensemble.json",
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. `create` makes a new one, `open` finds an existing one."""

    path: Path

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], record: RunRecord, *, overwrite: bool = False
    ) -> RunFolder:
        """Make the folder and its `run.json`.

        A folder that holds anything else than a run is refused. A run with results is refused
        too unless `overwrite` is given, which then removes this program's files and no others. A
        run that was stopped before it had any result is begun anew.
        """
        run = cls(Path(path))
        if run.path.exists():
            run._require_free_for_a_new_run(overwrite=overwrite)
        require_writable_folder(run.path, create=True)
        # The record first: a folder interrupted here is known as ours.
        run.write_record(replace(record, start=record.start or now_text()))
        run._remove_results()
        run._make_folder(run.last_checkpoint_path.parent)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, needs: Iterable[str] = ()) -> RunFolder:
        """An existing run; `needs` names files (e.g. `"settings.yaml"`) that it must have."""
        run = cls(Path(path))
        run._require_run()
        run.read_record()
        run.require(*needs)
        return run

    @staticmethod
    def is_run(path: str | os.PathLike[str]) -> bool:
        """Whether a folder holds a run, of whatever version and however incomplete."""
        return (Path(path) / RECORD).is_file()

    @property
    def record_path(self) -> Path:
        return self.path / RECORD

    @property
    def settings_path(self) -> Path:
        return self.path / SETTINGS

    @property
    def split_path(self) -> Path:
        return self.path / SPLIT

    @property
    def check_path(self) -> Path:
        return self.path / CHECK

    @property
    def metrics_path(self) -> Path:
        return self.path / METRICS

    @property
    def last_checkpoint_path(self) -> Path:
        return self.path / LAST

    @property
    def best_checkpoint_path(self) -> Path:
        return self.path / BEST

    @property
    def generation_checkpoint_path(self) -> Path:
        """The state of a search when its present generation began."""
        return self.path / GENERATION

    @property
    def history_path(self) -> Path:
        return self.path / HISTORY

    @property
    def space_path(self) -> Path:
        return self.path / SPACE

    @property
    def rates_path(self) -> Path:
        return self.path / RATES

    @property
    def scores_path(self) -> Path:
        return self.path / SCORES

    @property
    def report_path(self) -> Path:
        return self.path / REPORT

    @property
    def log_path(self) -> Path:
        return self.path / LOG

    @property
    def lock_path(self) -> Path:
        return self.path / LOCK

    @property
    def metrics(self) -> MetricsLog:
        return MetricsLog(self.metrics_path)

    @property
    def can_resume(self) -> bool:
        """Whether training has left a state to go on from and is not at its end."""
        return self.last_checkpoint_path.is_file() and self.read_record().status != FINISHED

    def lock(self, *, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Keep other processes from training into this folder while the body runs."""
        return hold_lock(self.lock_path, wait_s=wait_s)

    def living_process(self) -> LockHolder | None:
        """The process that trains into this folder now, if any."""
        return living_holder(self.lock_path)

    def require(self, *names: str) -> None:
        """Raise RunError unless the folder has these files."""
        missing = [name for name in names if not (self.path / name).is_file()]
        if missing:
            raise RunError(
                f"{self.path}: the run is incomplete, it lacks {', '.join(missing)} "
                f"({self._standing()}). Go on with `lfads resume {self.path}` if it has a "
                "checkpoint, or fit again."
            )

    def read_record(self) -> RunRecord:
        """`run.json`; RunError when it is damaged or of a newer version."""
        content = self._read_json(RECORD)
        if content.get("format") != FORMAT:
            raise RunError(
                f"{self.record_path}: format is {content.get('format')!r}; {FORMAT!r} is needed. "
                "This is not the record of a run: name the folder that `lfads fit` has made."
            )
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                f"{self.record_path}: format_version is {version!r}; this lfads-torch reads "
                f"{FORMAT_VERSION}. Update lfads-torch to read a newer run."
            )
        if content.get("status") not in STATUSES:
            raise RunError(
                f"{self.record_path}: status is {content.get('status')!r}; one of "
                f"{', '.join(STATUSES)} is needed. The file was changed: restore it."
            )
        try:
            return RunRecord.from_json(content)
        except TypeError as error:
            raise RunError(
                f"{self.record_path}: cannot be read ({error}). The file was changed: restore it."
            ) from error

    def write_record(self, record: RunRecord) -> None:
        heading = {"format": FORMAT, "format_version": FORMAT_VERSION}
        self._write_json(RECORD, {**heading, **plain(record)})

    def set_status(self, status: str, *, reason: str | None = None) -> None:
        """Note how the run stands; every status but `running` also notes the time."""
        record = self.read_record()
        end = now_text() if status in STATUSES[1:] else None
        self.write_record(replace(record, status=status, reason=reason, end=end))

    def read_settings(self) -> str:
        """The text of `settings.yaml`."""
        self.require(SETTINGS)
        return self.settings_path.read_text(encoding="utf-8")

    def write_settings(self, text: str) -> None:
        write_text(self.settings_path, text)

    def read_split(self) -> dict[str, Any]:  # JSON values, see docs/formats.md
        return self._read_json(SPLIT)

    def write_split(self, content: Mapping[str, object]) -> None:
        self._write_json(SPLIT, content)

    def read_check(self) -> dict[str, Any]:  # JSON values
        return self._read_json(CHECK)

    def write_check(self, content: Mapping[str, object]) -> None:
        self._write_json(CHECK, content)

    def read_scores(self) -> dict[str, Any]:  # JSON values
        return self._read_json(SCORES)

    def write_scores(self, content: Mapping[str, object]) -> None:
        self._write_json(SCORES, content)

    def _read_json(self, name: str) -> dict[str, Any]:
        self.require(name)
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(
                f"{path}: cannot be read ({error}). The file was changed or the disk is damaged: "
                "restore it from a copy, or fit again."
            ) from error
        if not isinstance(content, dict):
            raise RunError(
                f"{path}: holds a {type(content).__name__}; a JSON object is needed. The file was "
                "changed: restore it from a copy, or fit again."
            )
        return content

    def _write_json(self, name: str, content: Mapping[str, object]) -> None:
        write_text(self.path / name, json_text(content, indent=2) + "\n")

    def _standing(self) -> str:
        if not self.record_path.is_file():
            return "its status is unknown"
        try:
            record = self.read_record()
        except LfadsError:
            return "its status is unknown"
        if record.status == RUNNING and self.living_process() is None:
            return f"status: {INTERRUPTED}, the process is gone without notice"
        return f"status: {record.status}{f', {record.reason}' if record.reason else ''}"

    def _require_run(self) -> None:
        if not self.path.exists():
            raise RunError(
                f"{self.path}: there is no such folder. Name the folder of a run, as given to "
                "`lfads fit --out` (run_folder in Python)."
            )
        if self.path.is_file():
            raise RunError(f"{self.path}: is a file. Name the folder of a run, not a file in it.")
        if not self.is_run(self.path):
            inside = [run.path.name for run in list_runs(self.path)]
            hint = "Name a folder that `lfads fit` has made."
            if inside:
                more = f" and {len(inside) - 5} more" if len(inside) > 5 else ""
                hint = f"It holds the runs {', '.join(inside[:5])}{more}: name one of them."
            raise RunError(f"{self.path}: is not a run, it has no {RECORD}. {hint}")

    def _require_free_for_a_new_run(self, *, overwrite: bool) -> None:
        if not self.path.is_dir():
            raise OutputError(
                f"{self.path}: is a file; a folder is needed for the run. Choose another (--out; "
                "run_folder in Python)."
            )
        holder = self.living_process()
        if holder is not None:
            raise RunError(
                f"{self.path}: process {holder.pid} on {holder.host} is training into this folder. "
                "Choose another folder (--out; run_folder in Python), or wait for it to end."
            )
        if not self.is_run(self.path):
            entries = sorted(
                name for name in os.listdir(self.path) if PART_SUFFIX not in name and name != LOCK
            )
            if entries:
                raise OutputError(
                    f"{self.path}: the folder is not empty and is not a run (it holds "
                    f"{', '.join(entries[:3])}{', ...' if len(entries) > 3 else ''}). "
                    "Choose a new or empty folder (--out; run_folder in Python)."
                )
            return
        if not overwrite and any((self.path / name).exists() for name in RESULTS):
            raise RunError(
                f"{self.path}: holds a run already ({self._standing()}). Choose another folder "
                f"(--out; run_folder in Python), go on with `lfads resume {self.path}`, or replace "
                "it (--overwrite)."
            )

    def _remove_results(self) -> None:
        self._remove(OURS)
        for session in list_runs(self.path / "sessions"):
            session._remove((*OURS, RECORD))
            # Alone it would make the folder one of someone else's files.
            with suppress(OSError):
                session.last_checkpoint_path.parent.rmdir()

    def _remove(self, names: Iterable[str]) -> None:
        try:
            for name in names:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.path / name, error) from error

    def _make_folder(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(path, error) from error


def discard_runs(paths: Iterable[Path]) -> None:
    """Empty the run folders among these, so that none of their results is taken for a new run's.

    Each keeps a record that says so and is begun anew; other people's files stay. RunError, before
    anything is removed, where a process trains into one of them.
    """
    runs = [RunFolder(path) for path in paths if RunFolder.is_run(path)]
    for run in runs:
        run._require_free_for_a_new_run(overwrite=True)
    for run in runs:
        # The record first: whatever is left after a kill is not a finished run.
        reason = "its results were removed to be made anew (--overwrite)"
        run.write_record(RunRecord(status=INTERRUPTED, reason=reason, end=now_text()))
        run._remove_results()


def list_runs(folder: str | os.PathLike[str]) -> list[RunFolder]:
    """The runs directly inside a folder, by name; none for a folder that does not exist."""
    path = Path(folder)
    if not path.is_dir():
        return []
    return [RunFolder(entry) for entry in sorted(path.iterdir()) if RunFolder.is_run(entry)]
