"""Readers and figures of somebody's own, with settings of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY, Lfads, Made, options

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.errors import FormatError

MODULE = r'''
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from matplotlib.figure import Figure

from lfads_torch.analysis.figures.base import FigureRecipe
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import Reader
from lfads_torch.declare import PluginSettings, member_setting, setting


@dataclass(frozen=True, kw_only=True)
class BlockSettings(PluginSettings):
    section: ClassVar[str] = "blocks"
    level: int = setting(1, "counts of a threshold crossing", unit="crossings", at_least=1)
    order: Literal["time", "unit"] = setting("time", "which axis runs fastest")
    gain: float = setting(1.0, "factor", above=0.0)


class Blocks(Reader):
    """Lines of numbers, a line for each bin of each trial; ends of trials are empty lines."""

    name = "blocks"
    settings_type = BlockSettings

    def recognises(self, path):
        return path.read_bytes().startswith(b"#blocks")

    def read(self, path, options):
        own = options.own.of(BlockSettings)
        trials = path.read_text().removeprefix("#blocks\n").strip().split("\n\n")
        rows = [[row.split() for row in trial.splitlines()] for trial in trials]
        counts = np.array(rows, dtype=float)
        return recording_from_arrays(counts * own.level, bin_width_s=options.bin_width_s or 0.02)


@dataclass(frozen=True, kw_only=True)
class WaterfallSettings(PluginSettings):
    section: ClassVar[str] = "waterfall"
    gap: float = setting(1.0, "between lines", unit="spikes/s", at_least=0.0)


class Waterfall(FigureRecipe):
    name = "waterfall"
    title = "Rates, one above the other"
    caption = "Rates."
    caveat = "Nothing else."
    settings_type = WaterfallSettings

    def needs(self, inputs):
        return None

    def draw(self, inputs, choice):
        figure = Figure()
        figure.text(0.5, 0.5, f"gap={choice.own.of(WaterfallSettings).gap:g}")
        return figure


@dataclass(frozen=True, kw_only=True)
class WrongSettings(PluginSettings):
    section: ClassVar[str] = "wrong"
    gap: float = member_setting(1.0, "nobody is a member here")


class Wrong(Waterfall):
    settings_type = WrongSettings
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_lab.py").write_text(MODULE)
    counts = np.random.default_rng(0).poisson(0.7, (12, 9, 5))
    trials = ("\n".join(" ".join(map(str, row)) for row in trial) for trial in counts)
    (tmp_path / "session.blk").write_text("#blocks\n" + "\n\n".join(trials) + "\n")
    yield tmp_path
    sys.modules.pop("own_lab", None)


def test_a_reader_gets_its_settings_and_the_run_keeps_them(lfads: Lfads, folder: Path) -> None:
    session, run, path = folder / "session.blk", folder / "run", f"--plugin-path={folder}"
    given = ("--reader", "own_lab:Blocks", "--reader-set", "blocks.level=2", path)
    tiny = options({**TINY, "training.epochs": 1, "loss.kl_ramp_increase": 0})
    assert lfads("fit", session, "--out", run, *given, *tiny, "--quiet").code == 0
    stored = json.loads((run / "run.json").read_text())["read_options"]
    assert stored["reader_settings"] == {"blocks.level": 2}
    assert "record.read_options.reader_settings.blocks.level  2" in lfads("inspect", run).out
    # Whoever applies the run reads the file in the same way; what is told wins.
    again = lfads("infer", run, session, "--out", folder / "again.nc", path)
    assert again.code == 0, again.err
    assert "trials that the run has not seen" not in again.out
    other = lfads("infer", run, session, "--out", folder / "other.nc", path,
                  "--reader-set", "blocks.level=3")  # fmt: skip
    assert other.code == 0, other.err
    mean = [float(np.nanmean(_rates(folder / f"{name}.nc"))) for name in ("again", "other")]
    assert mean[0] != mean[1]


def _rates(path: Path) -> np.ndarray:
    import h5py

    with h5py.File(path) as file:
        return np.asarray(file["rates"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("blocks.level=0", "blocks.level is 0; needed is a whole number, at least 1 (crossings)"),
        ("blocks.level=1.5", "blocks.level is 1.5; needed is a whole number"),
        ("blocks.levle=2", "blocks.levle is no setting of it; did you mean blocks.level?"),
        ("blocks.order=place", "is the text 'place'; needed is one of time, unit"),
        ("blocks.gain=true", "blocks.gain is true; needed is a number, above 0"),
        ("nothing", "--reader-set 'nothing': needed is section.key=value"),
    ],
)
def test_wrong_settings_of_a_reader_are_told_before_it_reads(
    lfads: Lfads, folder: Path, given: str, message: str
) -> None:
    told = lfads("check", folder / "session.blk", f"--plugin-path={folder}",
                 "--reader=own_lab:Blocks", f"--reader-set={given}")  # fmt: skip
    assert told.code != 0
    assert message in " ".join(told.err.split())
    assert "?." not in told.err


def test_a_reader_of_ours_has_none(tmp_path: Path, made: Made) -> None:
    with pytest.raises(FormatError, match="the reader 'recording' has no settings of its own"):
        read_recording(made.recording, options=ReadOptions(reader_settings={"blocks.level": 2}))


def test_a_figure_gets_its_settings(lfads: Lfads, folder: Path, made: Made) -> None:
    out, path = folder / "figure.svg", f"--plugin-path={folder}"
    drawn = lfads("plot", made.run, "own_lab:Waterfall", "--out", out, path,
                  "--set", "waterfall.gap=2.5")  # fmt: skip
    assert drawn.code == 0, drawn.err
    with_setting = out.read_bytes()
    assert lfads("plot", made.run, "own_lab:Waterfall", "--out", out, path).code == 0
    assert out.read_bytes() != with_setting
    wrong = lfads("plot", made.run, "own_lab:Waterfall", path, "--set", "waterfall.gap=-1")
    assert "waterfall.gap is -1; needed is a number, at least 0 (spikes/s)" in wrong.err
    ours = lfads("plot", made.run, "loss_curves", "--set", "waterfall.gap=1")
    assert "the figure 'loss_curves' has no settings of its own" in ours.err
    members = lfads("plot", made.run, "own_lab:Wrong", path)
    assert "there are no members here" in " ".join(members.err.split())


def test_inspect_says_what_a_class_takes(lfads: Lfads, folder: Path) -> None:
    told = lfads("inspect", "own_lab:Blocks", f"--plugin-path={folder}").out
    assert "--reader" in told
    assert "settings.blocks.level" in told
    assert "1: counts of a threshold crossing; a whole number, at least 1 (crossings)" in told
    figure = json.loads(
        lfads("inspect", "own_lab:Waterfall", f"--plugin-path={folder}", "--json").out
    )
    assert figure["named in"] == ["lfads plot RUN FIGURE"]
    stranger = lfads("inspect", "own_lab:BlockSettings", f"--plugin-path={folder}")
    assert "is a class of no kind that lfads-torch uses" in " ".join(stranger.err.split())
    cell = lfads("inspect", "member_parts:LeakyCell").out
    assert "every member's own, can be searched" in cell
