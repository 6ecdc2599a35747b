from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.split_file import write_split
from lfads_torch.data.splitting import split_recording
from lfads_torch.errors import OutputError
from lfads_torch.outputs.target_file import (
    EXPORTS,
    FIGURE,
    PREPARED,
    RATES,
    RECORDING,
    SETTINGS,
    SPLIT,
    SYNTHETIC,
    kind_at,
    prepare_target,
)


@pytest.fixture
def recording():
    counts = np.random.default_rng(0).poisson(1.0, (11, 5, 3))
    return recording_from_arrays(counts, bin_width_s=0.01)


def test_each_kind_is_told_by_its_content(tmp_path, recording):
    from matplotlib.figure import Figure

    origins = {PREPARED: {"prepared": {}}, SYNTHETIC: {"source": "synthetic"}, RECORDING: {}}
    for kind, origin in origins.items():
        write_recording(replace(recording, provenance=origin), tmp_path / "a.dat")
        assert kind_at(tmp_path / "a.dat") == kind
    write_split(tmp_path / "s.h5", split_recording(recording, SplitSettings()), recording)
    (tmp_path / "y.h5").write_text("model:\n  generator_size: 3\n")
    assert kind_at(tmp_path / "s.h5") == SPLIT
    assert kind_at(tmp_path / "y.h5") == SETTINGS
    for ending in ("png", "pdf", "svg"):
        Figure().savefig(tmp_path / f"f.{ending}")
        assert kind_at(tmp_path / f"f.{ending}") == FIGURE


def test_files_of_others_are_no_kind_of_ours(tmp_path):
    from scipy.io import savemat

    np.savez(tmp_path / "session.npz", spikes=np.ones(3), attributes="{}")
    savemat(tmp_path / "session.mat", {"rates": np.ones(3)})
    (tmp_path / "session.csv").write_text("time,unit_id,count\n0,1,2\n")
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\x00" * 30)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04" + b"\x01" * 30)
    for path in tmp_path.iterdir():
        assert kind_at(path) == ""
        before = path.read_bytes()
        for kind in (RATES, RECORDING, *EXPORTS.values()):
            with pytest.raises(OutputError, match=r"is there already and is .*--out"):
                prepare_target(path, kind)
        assert path.read_bytes() == before


def test_what_the_command_reads_is_never_its_target(tmp_path, recording):
    source = tmp_path / "a.h5"
    write_recording(recording, source)
    os.link(source, tmp_path / "hard.h5")
    (tmp_path / "soft.h5").symlink_to(source)
    for name in ("a.h5", "hard.h5", "soft.h5", "./sub/../a.h5"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(OutputError, match="is what this command reads"):
            prepare_target(tmp_path / name, RECORDING, inputs=[source])
    assert prepare_target(source, RECORDING, inputs=[tmp_path / "b.h5"]) == source


def test_folders_are_made_and_places_that_cannot_hold_a_file_refused(tmp_path):
    target = prepare_target(tmp_path / "some" / "more" / "r.nc", RATES)
    assert target.parent.is_dir()
    assert not list(target.parent.iterdir())
    prepare_target(tmp_path / "none" / "r.nc", RATES, inputs=[tmp_path / "misspelt.h5"])
    assert not (tmp_path / "none").exists()
    target.write_bytes(b"")
    prepare_target(target, RATES)  # an empty file holds nothing that could be lost
    with pytest.raises(OutputError, match="a folder of that name"):
        prepare_target(tmp_path / "some", RATES)
    with pytest.raises(OutputError, match="a part of the path is a file"):
        prepare_target(target / "r.nc", RATES)
