"""Whether a text file of a run is still the one that the run was begun with."""

from __future__ import annotations

import hashlib

__all__ = ["text_fingerprint"]


def text_fingerprint(text: str) -> str:
    """SHA-256 of the text, whatever its line ends became on the way."""
    return hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest()
