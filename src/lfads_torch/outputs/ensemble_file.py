"""`ensemble.json`: the models of a run in the order in which an ensemble takes them, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lfads_torch.atomic import write_text
from lfads_torch.errors import OutputError
from lfads_torch.outputs.json_text import json_text, plain
from lfads_torch.outputs.typed_record import typed_record

__all__ = ["ENSEMBLE", "EnsembleRecord", "read_ensemble", "write_ensemble"]

ENSEMBLE = "ensemble.json"
FORMAT, FORMAT_VERSION = "lfads-torch ensemble", 1


@dataclass(frozen=True, kw_only=True)
class EnsembleRecord:
    """What forward selection took; an ensemble of K models is the first K of `members`."""

    members: tuple[int, ...]  # the best by its score first
    nats: tuple[float, ...]  # per counted entry of the validation trials: of the first n averaged
    candidates: tuple[int, ...]  # ids of all that were tried
    scores: tuple[float, ...]  # of the candidates: which models these were
    n_trials: int  # of validation; 0: there are none, and the order is that of the file

    def is_of(self, candidates: tuple[int, ...], scores: tuple[float, ...]) -> bool:
        """Whether it was made of these models; a search that went on has others."""
        return (self.candidates, self.scores) == (candidates, scores)


def write_ensemble(path: Path, record: EnsembleRecord) -> bool:
    """Whether it could be written: a folder that is only read gets none, and needs none."""
    heading = {"format": FORMAT, "format_version": FORMAT_VERSION}
    try:
        write_text(path, json_text({**heading, **plain(record)}, indent=1) + "\n")
    except OutputError:
        return False
    return True


def read_ensemble(path: Path) -> EnsembleRecord | None:
    """None where there is none that this version can read: it is then made again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content.pop("format"), content.pop("format_version")) != (FORMAT, FORMAT_VERSION):
            return None
        record = typed_record(EnsembleRecord, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    is_whole = record.members and set(record.members) <= set(record.candidates)
    return record if is_whole else None
