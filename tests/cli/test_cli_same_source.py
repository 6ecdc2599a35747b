"""What `prepare` and `import` may replace: what was made from the same content, whatever names."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import Lfads

from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.source_file import content_hash
from lfads_torch.errors import OutputError
from lfads_torch.outputs.same_recording import require_same_prepared


def two_days(folder: Path, kind: str) -> list[Path]:
    """Files of one name, shape and size, of other counts."""
    found = []
    for seed, day in enumerate(("day1", "day2")):
        path = folder / day / ("spikes.npz" if kind == "npz" else "cont.h5")
        path.parent.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        if kind == "npz":
            counts = generator.integers(0, 3, (5, 4, 3))
            np.savez(path, counts=counts, bin_width_s=0.01)
        else:
            with h5py.File(path, "w") as file:
                file["counts"] = generator.integers(0, 3, (90, 3))
                file["bin_width_s"] = 0.01
                file["event_times"] = np.array([0.2, 0.4, 0.6])
        found.append(path)
    assert found[0].stat().st_size == found[1].stat().st_size
    return found


@pytest.mark.parametrize(
    ("command", "kind", "more"),
    [
        ("prepare", "npz", ()),
        ("prepare", "h5", ("--window", -0.1, 0.1)),
        ("import", "npz", ()),
    ],
)
def test_a_file_of_one_name_and_size_but_other_content_is_another(
    lfads: Lfads, tmp_path: Path, command: str, kind: str, more: tuple[object, ...]
) -> None:
    own, other = two_days(tmp_path, kind)
    out = tmp_path / "q.h5"
    first = lfads(command, own, "--out", out, *more)
    assert first.code == 0, first.err
    before = out.read_bytes()
    done = lfads(command, other, "--out", out, *more)
    assert done.code == 1
    assert "of other content, would replace it" in done.err
    assert "--overwrite" in done.err
    assert "overwrite=True" not in done.err  # no function of Python has it
    assert out.read_bytes() == before
    copy = tmp_path / "moved" / own.name
    copy.parent.mkdir()
    copy.write_bytes(own.read_bytes())
    assert lfads(command, copy, "--out", out, *more).code == 0
    assert lfads(command, other, "--out", out, *more, "--overwrite").code == 0


def test_another_source_is_refused_before_the_work(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = two_days(tmp_path, "npz")
    made = tmp_path / "made.h5"
    small = ["--set", "n_conditions=2", "--set", "n_units=3", "--set", "n_steps=20"]
    assert lfads("prepare", own, "--out", tmp_path / "q.h5").code == 0
    assert lfads("synth", "lorenz", "--out", made, *small).code == 0

    def not_reached(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("lfads_torch.data.prepare.prepare_recording", not_reached)
    monkeypatch.setattr("lfads_torch.data.synthetic.choose.Plan.make", not_reached)
    for arguments in (
        ["prepare", other, "--out", tmp_path / "q.h5"],
        ["synth", "lorenz", "--out", made, *small, "--seed", 1],
        ["synth", "chaotic", "--out", made],
    ):
        done = lfads(*arguments)
        assert (done.code, "would" in done.err) == (1, True), done.err
        assert "--overwrite" in done.err


def test_files_of_earlier_versions_are_known_by_name_and_size(tmp_path: Path) -> None:
    from dataclasses import replace

    from lfads_torch.data.formats.ours import write_recording

    own, other = two_days(tmp_path, "npz")
    old = prepare_recording(own, PrepareOptions())
    provenance = {k: v for k, v in old.provenance.items() if k != "source_sha256"}
    write_recording(replace(old, provenance=provenance), tmp_path / "q.h5")
    new = prepare_recording(other, PrepareOptions()).provenance
    require_same_prepared(tmp_path / "q.h5", "spikes", new)
    with pytest.raises(OutputError, match="now of 7 bytes, would replace"):
        require_same_prepared(tmp_path / "q.h5", "spikes", {**new, "source_bytes": 7})


def test_counts_that_pass_through_name_the_file_that_was_read(lfads: Lfads, tmp_path: Path) -> None:
    made = tmp_path / "made.h5"
    system = {"n_conditions": 2, "n_trials_per_condition": 3, "n_units": 3, "n_steps": 40}
    system["n_valid_per_condition"] = 1
    values = [part for name, value in system.items() for part in ("--set", f"{name}={value}")]
    done = lfads("synth", "lorenz", "--out", made, *values)
    assert done.code == 0, done.err
    found = prepare_recording(made, PrepareOptions()).provenance
    assert (found["source"], found["source_bytes"]) == ("made.h5", made.stat().st_size)
    assert found["original_source"] == "synthetic"
    assert found["source_sha256"] == content_hash(made)


def test_a_long_file_is_hashed_in_blocks_over_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(3 * 2**20))
    whole, in_part = content_hash(path), content_hash(path, whole_bytes=10)
    assert in_part.startswith("in-part-")
    with path.open("r+b") as file:
        file.seek(2**21)
        file.write(b"1")
    assert content_hash(path) != whole
    assert content_hash(path, whole_bytes=10) != in_part
