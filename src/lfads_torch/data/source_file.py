"""Which file a recording was made from, so that another of the same name can be told from it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from lfads_torch.data.recording import Recording

__all__ = ["content_hash", "with_source_file"]

HASHED_WHOLE_BYTES = 4 * 2**30
_BLOCK_BYTES = 2**20
_N_BLOCKS = 1024


def with_source_file(recording: Recording, path: Path) -> Recording:
    """The same with name, size and hash of the file that was read in its provenance.

    What the recording's own provenance called its source stays as `original_source`.
    """
    before = recording.provenance.get("source")
    original = {} if before in (None, path.name) else {"original_source": before}
    file = {
        "source": path.name,
        "source_bytes": path.stat().st_size,
        "source_sha256": content_hash(path),
    }
    return replace(recording, provenance={**original, **recording.provenance, **file})


def content_hash(path: Path, *, whole_bytes: int = HASHED_WHOLE_BYTES) -> str:
    """SHA-256 of a file's bytes.

    Of a file of more than `whole_bytes`, of its size and 1024 blocks of 1 MiB evenly over it, the
    first and the last included: reading all of a raw recording takes longer than what is made.
    """
    size = path.stat().st_size
    found = hashlib.sha256()
    with path.open("rb") as file:
        if size <= whole_bytes:
            while block := file.read(_BLOCK_BYTES):
                found.update(block)
            return found.hexdigest()
        found.update(str(size).encode())
        last = max(size - _BLOCK_BYTES, 0)
        for n in range(_N_BLOCKS):
            file.seek(last * n // (_N_BLOCKS - 1))
            found.update(file.read(_BLOCK_BYTES))
    return f"in-part-{found.hexdigest()}"
