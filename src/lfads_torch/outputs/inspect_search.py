"""What the files of a search contain: `history.csv` and `space.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lfads_torch.outputs.file_kind import first_bytes
from lfads_torch.outputs.history_file import COLUMNS, read_history, searched_names

__all__ = ["describe_history", "describe_space"]

_LARGEST_SPACE_BYTES = 2**20


def describe_history(path: Path) -> dict[str, Any] | None:
    """Generations, members and searched settings; None where it is no such table."""
    if not first_bytes(path, 2**10).startswith(",".join(COLUMNS[:4]).encode()):
        return None
    rows = read_history(path)
    generations = [row["generation"] for row in rows]
    return {
        "what": "history of a search",
        "n_generations": len(set(generations)),
        "generations": [min(generations), max(generations)] if rows else [],
        "n_members": len({row["member"] for row in rows}),
        "searched": searched_names(rows),
        "last": {
            str(row["member"]): row.get("score")
            for row in rows
            if row["generation"] == max(generations)
        },
    }


def describe_space(path: Path) -> dict[str, Any] | None:
    """Range by name; None where it is no search space."""
    import yaml

    if path.stat().st_size > _LARGEST_SPACE_BYTES:
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, yaml.YAMLError):
        return None
    if not isinstance(content, dict) or not content:
        return None
    is_range = [
        isinstance(each, dict) and {"low", "high"} <= each.keys() for each in content.values()
    ]
    if not all(is_range):
        return None
    return {"what": "search space", **{str(name): _range_text(r) for name, r in content.items()}}


def _range_text(entry: dict[str, Any]) -> str:
    texts = {
        key: f"{each:.6g}" if isinstance(each, float) else str(each) for key, each in entry.items()
    }
    rest = "".join(f", {key} {text}" for key, text in texts.items() if key not in ("low", "high"))
    return f"{texts['low']} .. {texts['high']}{rest}"
