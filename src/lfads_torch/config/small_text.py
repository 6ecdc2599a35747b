"""Text files that people write for us: a few thousand characters, in UTF-8."""

from __future__ import annotations

from pathlib import Path

from lfads_torch.errors import SettingsError

__all__ = ["small_text"]

_LARGEST_FILE_BYTES = 1_000_000


def small_text(path: Path, *, what: str) -> str:
    """The text of a file; `what` says in an error which file is needed ("a YAML file of ...")."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise SettingsError(
                f"{path} has {path.stat().st_size} bytes; {what} has a few thousand. "
                "Is it the data file? Give that as the recording."
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not a text file in UTF-8; needed is {what}.") from error
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror or error}); needed is {what}."
        ) from error
