"""What every reader must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.data.formats.base import Reader, ReadOptions
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, FormatError
from lfads_torch.testing.drawn import require

__all__ = ["ReaderContract"]


class ReaderContract:
    """Derive `class TestMyReader(ReaderContract)` and write `reader` and `write`."""

    ending = ".bin"
    options = ReadOptions(bin_width_s=0.01)  # what the file does not say itself

    def reader(self) -> Reader:
        raise NotImplementedError("give the reader that is to be tested")

    def write(self, path: Path, recording: Recording) -> None:
        """Write the counts and the ids of this recording as a file of the layout."""
        raise NotImplementedError("write a file of the layout")

    def recording(self) -> Recording:
        counts = np.random.default_rng(0).poisson(1.0, (5, 7, 3)).astype(np.float64)
        return Recording(
            counts=counts,
            bin_width_s=0.01,
            trial_ids=np.arange(5),
            unit_ids=np.arange(3),
        )

    def test_it_gives_the_counts_that_were_written(self, tmp_path: Path) -> None:
        recording, path = self.recording(), tmp_path / f"session{self.ending}"
        self.write(path, recording)
        require(self.reader().recognises(path), "it must recognise its own layout by the content")
        found = self.reader().read(path, self.options)
        np.testing.assert_array_equal(np.asarray(found.counts), recording.counts)
        require(found.bin_width_s == recording.bin_width_s, "the width of the bins, in s")

    def test_reading_twice_gives_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / f"session{self.ending}"
        self.write(path, self.recording())
        first, second = (self.reader().read(path, self.options) for _ in range(2))
        require(fingerprint(first) == fingerprint(second), "the same recording each time")

    def test_the_name_of_the_file_does_not_decide(self, tmp_path: Path) -> None:
        path = tmp_path / "without_an_ending"
        self.write(path, self.recording())
        require(self.reader().recognises(path), "the content decides, not the name")

    def test_other_files_are_not_taken(self, tmp_path: Path) -> None:
        empty, text, ours = (tmp_path / f"{n}{self.ending}" for n in ("empty", "text", "ours"))
        empty.write_bytes(b"")
        text.write_text("trial,bin,unit\n1,2,3\n")
        write_recording(self.recording(), ours)
        for path in (empty, text, ours):
            require(not self.reader().recognises(path), f"{path.stem} is of another layout")

    def test_a_damaged_file_is_told_with_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / f"session{self.ending}"
        self.write(path, self.recording())
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        try:
            self.reader().read(path, self.options)
        except (DataError, FormatError) as error:
            require(str(error).startswith(str(path)), "the message must begin with the path")
            return
        raise AssertionError("half a file must raise FormatError or DataError")
