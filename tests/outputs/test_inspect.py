from __future__ import annotations

import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.inspect import describe, rows
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import RunRecord


def test_recording(tmp_path):
    path = tmp_path / "maze.any"
    with h5py.File(path, "w") as file:
        file.attrs.update(format="lfads-torch recording", format_version=1, bin_width_s=0.005)
        file.attrs["provenance"] = '{"source": "a.mat"}'
        file["counts"] = np.zeros((3, 33, 1), dtype=np.uint8)
        file["behaviour/hand"] = np.zeros((3, 33, 2))
        file["behaviour/hand"].attrs["units"] = "mm/s"
        file["trial_ids"] = np.array(["a", "b", "c"], dtype=object)
    description = describe(path)
    assert description["what"] == "recording"
    assert description["bin_width_s"] == 0.005
    assert description["provenance"] == {"source": "a.mat"}
    assert description["contents"] == {
        "counts": "[3, 33, 1] uint8",
        "behaviour/hand": "[3, 33, 2] float64, mm/s",
        "trial_ids": "[3] text",
    }
    assert ("provenance.source", "a.mat") in rows(description)
    assert ("contents.counts", "[3, 33, 1] uint8") in rows(description)


def test_scores_are_a_line_each(tmp_path):
    path = tmp_path / "scores.json"
    scores = [
        {"name": "true_rates_r2", "value": 0.51234567, "low": 0.4, "high": 0.6, "unit": ""},
        {"name": "co_smoothing", "value": 0.25, "low": None, "high": None, "unit": "bits/spike"},
        {"name": "behaviour_r2", "value": None, "reason": "there is no behaviour"},
    ]
    inner = {"monday": {"set": "test", "scores": scores[:1]}}
    content = {"format": "lfads-torch scores", "set": "test", "scores": scores, "sessions": inner}
    path.write_text(json.dumps(content))
    assert describe(path)["scores"] == scores  # as JSON nothing is lost
    lines = rows(describe(path))
    assert ("scores.true_rates_r2", "0.512346 (0.4 to 0.6)") in lines
    assert ("scores.co_smoothing", "0.25 bits/spike") in lines
    assert ("scores.behaviour_r2", "- (there is no behaviour)") in lines
    assert ("sessions.monday.scores.true_rates_r2", "0.512346 (0.4 to 0.6)") in lines


def test_state_reads_the_header_only(tmp_path):
    path = tmp_path / "last.safetensors"
    metadata = {"format": "lfads-torch state", "format_version": "1", "epoch": "7"}
    metadata["settings"] = json.dumps({"seed": 3})
    save_file({"weights/a": np.zeros((2, 3), np.float32)}, path, metadata=metadata)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)  # the arrays are cut, the header is whole
    description = describe(path)
    assert description["what"] == "state"
    assert description["epoch"] == "7"
    assert description["settings"] == {"seed": 3}
    assert description["tensors"] == {"weights/a": "[2, 3] F32"}


def test_split_files(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"format": "lfads-torch split", "format_version": 1, "trials": {}}))
    assert describe(path)["what"] == "split"
    path.write_text(json.dumps({"validation_trials": list(range(20)), "held_out_units": [1]}))
    description = describe(path)
    assert description["what"] == "split"
    shown = dict(rows(description))["validation_trials"]
    assert shown.endswith("7, ... (20)")


def test_metrics_and_settings(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"epoch": e, "step": e, "loss": [1.0, None]} for e in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"torn')
    description = describe(path)
    assert (description["what"], description["n_epochs"], description["n_members"]) == (
        "metrics",
        3,
        2,
    )
    assert ("last.loss", "1, -") in rows(description)
    path.write_text(json.dumps(lines[0]) + "\n")
    assert describe(path)["n_epochs"] == 1
    path = tmp_path / "settings.yaml"
    path.write_text("training:\n  epochs: 3\n")
    assert ("training.epochs", "3") in rows(describe(path))


def test_run_folders(tmp_path):
    run = RunFolder.create(tmp_path / "run", RunRecord(seed=5))
    description = describe(run.path)
    assert description["what"] == "run"
    assert description["record"]["seed"] == 5
    assert describe(run.record_path)["what"] == "run"
    assert describe(tmp_path)["runs"].keys() == {"run"}
    run.record_path.write_text("{")
    with pytest.raises(RunError):
        describe(run.path)


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def foreign_files(folder):
    def make(name, write):
        path = folder / name
        write(path)
        return path

    yield make("pickle.h5", lambda p: p.write_bytes(pickle.dumps(Explosive()))), "a pickle"
    yield make("empty.h5", lambda p: p.write_bytes(b"")), "an empty file"
    yield make("a.npy", lambda p: p.write_bytes(b"\x93NUMPY")), "a damaged npy file"
    yield make("a.json", lambda p: p.write_text('{"a": 1}')), "a text file"
    yield make("b.json", lambda p: p.write_text("[" * 100_000)), "a text file"
    yield make("a.yaml", lambda p: p.write_text("!!python/object/apply:os.abort []")), "a text file"
    yield make("a.txt", lambda p: p.write_text("é" * 300)), "a text file"
    yield make("a.bin", lambda p: p.write_bytes(bytes(range(100, 256)))), "a binary file"
    yield make("a.html", lambda p: p.write_text("<!DOCTYPE html>")), "an HTML page"
    yield make("a.pt", lambda p: zipfile.ZipFile(p, "w").writestr("a", "b")), "a zip archive"
    yield (
        make("other.safetensors", lambda p: save_file({"a": np.zeros(1)}, p)),
        "a safetensors file with the format None",
    )
    yield (
        make("torn.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(10))),
        "truncated or damaged",
    )
    yield (
        make("torn.safetensors", lambda p: p.write_bytes((3).to_bytes(8, "little") + b"{{{")),
        "damaged header",
    )


def test_anything_else_is_named(tmp_path):
    for path, words in foreign_files(tmp_path):
        with pytest.raises(FormatError, match=words) as caught:
            describe(path)
        assert str(path) in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError, match="a folder that is not a run"):
        describe(tmp_path / "folder")
    with pytest.raises(FormatError, match="no such file"):
        describe(tmp_path / "none")


def test_arrays_of_others_are_listed_and_never_unpickled(tmp_path):
    from scipy.io import savemat

    np.savez(tmp_path / "s.npz", spikes=np.ones((3, 4), np.int8), name=np.array("x"))
    np.savez(tmp_path / "o.npz", cells=np.array([{}], dtype=object))
    savemat(tmp_path / "s.mat", {"spikes": np.ones((3, 1)), "name": "x"})
    (tmp_path / "broken.npz").write_bytes((tmp_path / "s.npz").read_bytes()[:99])
    found = describe(tmp_path / "s.npz")
    assert found["what"] == "NumPy archive"
    assert found["contents"] == {"spikes": "[3, 4] int8", "name": "[] text"}
    assert "never loaded" in describe(tmp_path / "o.npz")["contents"]["cells"]
    assert describe(tmp_path / "s.mat")["contents"] == {
        "spikes": "[3, 1] double",
        "name": "[1] text",
    }
    with pytest.raises(FormatError, match="damaged zip archive"):
        describe(tmp_path / "broken.npz")


def test_hdf5_of_others_is_listed(tmp_path):
    plain, matlab = tmp_path / "peer.h5", tmp_path / "session.mat"
    with h5py.File(plain, "w") as file:
        file["train/counts"] = np.zeros((3, 2), np.int16)
    with h5py.File(matlab, "w", userblock_size=512) as file:
        file["spikes"] = np.zeros((4, 1))
    with matlab.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    found = describe(plain)
    assert (found["what"], found["contents"]) == ("HDF5 file", {"train/counts": "[3, 2] int16"})
    found = describe(matlab)
    assert found["what"] == "MATLAB 7.3 file"
    assert found["contents"] == {"spikes": "[4, 1] float64"}
    assert "lfads check" in found["origin"]


def taken(path):
    return describe(path)["a_fit_takes"]


def test_what_a_fit_takes_of_trials(tmp_path):
    path = tmp_path / "trials.npz"
    arrays = {
        "spikes": np.ones((5, 7, 3), np.int64),
        "direction": np.array(["a", "b", "a", "b", "a"]),
        "electrode": np.arange(3),
        "hand": np.zeros((5, 7, 2)),
        "images": np.zeros((9, 9)),
    }
    np.savez(path, **arrays)
    found = taken(path)
    assert found["counts"].startswith("spikes: 5 trials, 7 bins, 3 units (by its name)")
    assert found["bin_width_s"] == "not in the file: --bin-width SECONDS"
    assert found["condition"] == "none: --condition NAME (one entry per trial: direction)"
    assert found["trial_ids"] == "0 to 4: --trial-ids NAME (one entry per trial: direction)"
    assert found["unit_ids"] == "0 to 2: --unit-ids NAME (one entry per unit: electrode)"
    assert found["behaviour"] == "hand"
    assert found["external_inputs"] == "none: --external-inputs NAME"
    assert found["left_aside"] == "images [9, 9] float64"
    np.savez(path, **arrays, condition=np.arange(5), unit_ids=[4, 2, 9], bin_width_s=0.01)
    found = taken(path)
    assert (found["bin_width_s"], found["condition"]) == ("0.01", "5 labels")
    assert found["unit_ids"] == "unit_ids"
    np.save(tmp_path / "one.npy", np.ones((1, 1, 1)))
    assert "array: 1 trial, 1 bin, 1 unit (" in taken(tmp_path / "one.npy")["counts"]


def test_what_a_fit_takes_in_another_order(tmp_path):
    rng = np.random.default_rng(0)
    rates = rng.permutation(np.geomspace(0.1, 2, 11))[:, None, None] * np.ones((11, 9, 33))
    np.savez(tmp_path / "x.npz", spikes=rng.poisson(rates))
    assert "--axes unit,bin,trial" in taken(tmp_path / "x.npz")["axes"]


def test_what_a_fit_takes_of_sessions_and_of_what_cannot_be_read(tmp_path):
    np.savez(tmp_path / "t.npz", spike_times=[0.1], spike_units=[0], event_times=[0.1])
    found = taken(tmp_path / "t.npz")
    assert (found["session"], found["events"]) == ("spike times", "event_times")
    assert found["next"].startswith(f"lfads prepare {tmp_path / 't.npz'} --out")
    np.savez(tmp_path / "c.npz", counts=np.ones((9, 3), int), bin_width_s=0.02)
    found = taken(tmp_path / "c.npz")
    assert "counts [9, 3] as [bin, unit]; --axes unit,bin" in found["session"]
    assert found["bin_width_s"] == "0.02"
    np.savez(tmp_path / "u.npz", unit0=np.ones(9), unit1=np.ones(8))
    assert "`lfads prepare` then cuts trials" in taken(tmp_path / "u.npz")["nothing_yet"]


def test_struct_arrays_and_cells_of_trials_have_a_way_out(tmp_path):
    from scipy.io import savemat

    trials = np.zeros(3, dtype=[("raster", object)])
    trials["raster"] = [np.ones((2, 4))] * 3
    savemat(tmp_path / "r.mat", {"R": trials})
    said = taken(tmp_path / "r.mat")["nothing_yet"]
    assert "struct array" in said
    assert "its fields: raster" in said
    cells = np.empty(2, dtype=object)
    cells[:] = [np.ones((2, 4)), np.ones((3, 4))]
    savemat(tmp_path / "c.mat", {"trials": cells})
    assert "cell array of trials becomes one" in taken(tmp_path / "c.mat")["nothing_yet"]


def test_cells_are_no_text(tmp_path):
    from scipy.io import savemat

    cells = np.empty((1, 5), dtype=object)
    cells[:] = [[np.arange(3.0)] * 5]
    savemat(tmp_path / "s.mat", {"spike_times": cells, "name": "x"})
    found = describe(tmp_path / "s.mat")["contents"]
    assert found == {"spike_times": "[1, 5] cell", "name": "[1] text"}


@pytest.mark.parametrize("change", ["torn stream", "encrypted", "unknown compression"])
def test_damaged_archives_are_told(tmp_path, change):
    from lfads_torch.outputs.target_file import kind_at

    path = tmp_path / "s.npz"
    np.savez_compressed(path, spikes=np.arange(3000), attributes=np.array("{}"))
    content = bytearray(path.read_bytes())
    if change == "torn stream":
        begin = 30 + int.from_bytes(content[26:28], "little")
        begin += int.from_bytes(content[28:30], "little")
        content[begin : begin + 40] = b"\xff" * 40
    else:
        place, value = (6, 1) if change == "encrypted" else (8, 77)
        entry = content.index(b"PK\x01\x02")
        content[place] |= value if place == 6 else 0
        content[entry + place + 2] |= value if place == 6 else 0
        if place == 8:
            content[place] = content[entry + place + 2] = value
    path.write_bytes(bytes(content))
    words = "damaged zip archive" if change == "torn stream" else "password or a compression"
    with pytest.raises(FormatError, match=words):
        describe(path)
    kind_at(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_that_was_cut_is_told(tmp_path, compressed):
    from scipy.io import savemat

    from lfads_torch.outputs.target_file import kind_at

    path = tmp_path / "s.mat"
    values = np.random.default_rng(0).random((40, 30))
    savemat(path, {"a": values, "b": values + 1}, do_compression=compressed)
    whole = path.read_bytes()
    assert describe(path)["contents"] == {"a": "[40, 30] double", "b": "[40, 30] double"}
    for size in (130, len(whole) // 3, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match="damaged MATLAB file"):
            describe(path)
        assert not kind_at(path)


def test_lists_of_sections_are_lines_and_no_python(tmp_path):
    signals = [{"name": "emg", "units": ["a", "b"]}, {"name": "lfp", "units": []}]
    shown = dict(rows({"provenance": {"signals": signals, "nothing": {}}}))
    assert shown["provenance.signals.0.name"] == "emg"
    assert shown["provenance.signals.0.units"] == "a, b"
    assert shown["provenance.signals.1.units"] == ""
    assert not any("{" in text for text in shown.values())
