"""Records in JSON files: damaged ones and newer ones are told apart, whoever reads them."""

import json

import pytest

from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.left_out_file import LeftOutRecord, read_left_out, write_left_out
from lfads_torch.outputs.shapes_file import ShapesRecord, read_shapes, write_shapes

KINDS = [
    pytest.param(
        LeftOutRecord(command=("lfads",), run="run", n_trials=3, sessions=()),
        write_left_out,
        read_left_out,
        id="left_out",
    ),
    pytest.param(
        ShapesRecord(command=("lfads",), seed=1, ranges={"model.n_factors": (2, 9)}, shapes=()),
        write_shapes,
        read_shapes,
        id="shapes",
    ),
]


def changed(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(("record", "write", "read"), KINDS)
def test_what_is_written_is_read(tmp_path, record, write, read):
    write(tmp_path / "record.json", record)
    assert read(tmp_path / "record.json") == record


@pytest.mark.parametrize(("record", "write", "read"), KINDS)
def test_a_newer_version_asks_for_an_update_and_not_for_a_copy(tmp_path, record, write, read):
    path = tmp_path / "record.json"
    write(path, record)
    changed(path, format_version=2)
    with pytest.raises(FormatError, match=r"format_version is 2.*Update lfads-torch") as raised:
        read(path)
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("change", [{"format": "other"}, {"command": 3}, {"format_version": "x"}])
@pytest.mark.parametrize(("record", "write", "read"), KINDS)
def test_a_damaged_file_says_so(tmp_path, record, write, read, change):
    path = tmp_path / "record.json"
    write(path, record)
    changed(path, **change)
    with pytest.raises(RunError, match="damaged"):
        read(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "\x00"])
@pytest.mark.parametrize(("record", "write", "read"), KINDS)
def test_what_is_no_record_says_so(tmp_path, record, write, read, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        read(path)
