"""On which sources a result was measured: the revision of git, and whether they were changed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

__all__ = ["sources", "told_sources"]

_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = ("src", ":(exclude)*.md", "benchmarks/*.py", "pyproject.toml")


def sources() -> dict[str, Any]:
    """`{"sources": {"revision", "is_changed"}}` for a result; empty where git does not know."""
    revision = _git("rev-parse", "--short=10", "HEAD")
    changes = _git("status", "--porcelain", "--", *_SOURCES)
    if not revision or changes is None:
        return {}
    return {"sources": {"revision": revision, "is_changed": bool(changes)}}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def told_sources(result: object) -> str:
    """A line for the page: the revisions in a result, in order; empty where none is known."""
    found = dict.fromkeys(_found(result))
    if not found:
        return ""
    return f"<small>Measured on revision{'s' * (len(found) > 1)} {', '.join(found)}.</small>\n"


def _found(result: object) -> list[str]:
    if isinstance(result, list):
        return [each for part in result for each in _found(part)]
    if not isinstance(result, dict):
        return []
    own = result.get("sources")
    here = [] if own is None else [own["revision"] + " (changed)" * own["is_changed"]]
    parts = (part for name, part in result.items() if name != "sources")
    return here + [each for part in parts for each in _found(part)]
