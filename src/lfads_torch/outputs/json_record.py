"""Records of ours in JSON files: a heading with the format and its version, and one way to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lfads_torch.atomic import write_text
from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.json_text import json_text, plain

__all__ = ["RecordFormat"]

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class RecordFormat:
    """What stands at the top of such a file, and what it is called in a message."""

    name: str
    version: int
    title: str

    def write(self, path: Path, record: object, **more: object) -> None:
        """Write the file whole or not at all."""
        heading = {"format": self.name, "format_version": self.version}
        write_text(path, json_text({**heading, **plain(record), **more}, indent=2) + "\n")

    def read(self, path: Path, build: Callable[[dict[str, Any]], Record]) -> Record:
        """`build` of what the file holds.

        Raises RunError where the file is damaged, FormatError where it is of a newer version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != self.name:
                raise ValueError(f"its format is {content['format']!r}")
            if content["format_version"] <= self.version:
                return build(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{path}: cannot be read ({error}); the record of {self.title} is needed. The "
                "file was changed or the disk is damaged: restore it from a copy."
            ) from error
        raise FormatError(
            f"{path}: format_version is {content['format_version']}; this lfads-torch reads "
            f"{self.version}. Update lfads-torch to read a newer one."
        )
