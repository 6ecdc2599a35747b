"""Records in JSON files: damaged ones and newer ones are told apart, whoever reads them."""

import json

import pytest

from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.ensemble_file import EnsembleRecord, read_ensemble, write_ensemble
from lfads_torch.outputs.left_out_file import (
    LeftOut,
    LeftOutRecord,
    read_left_out,
    write_left_out,
)
from lfads_torch.outputs.shapes_file import Shape, ShapesRecord, read_shapes, write_shapes

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


SESSION = LeftOut(session="a", runs={"without": "x"}, updates={"without": 3}, scores=({"name": 1},))
SHAPE = Shape(folder="s0", settings={"model.n_factors": 3}, members=2, seed=4, score=0.5, rank=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"session": 3}, r"sessions\[0\].session is 3; str is needed"),
        ({"runs": []}, r"sessions\[0\].runs is \[\]; a dictionary is needed"),
        ({"runs": {"without": None}}, r"runs.without is None; str is needed"),
        ({"updates": {"without": True}}, r"updates.without is True; int is needed"),
        ({"scores": {}}, r"scores is \{\}; a list is needed"),
    ],
)
def test_values_of_another_type_are_named(tmp_path, change, message):
    path = tmp_path / "record.json"
    write_left_out(path, LeftOutRecord(sessions=(SESSION,)))
    assert read_left_out(path).sessions == (SESSION,)
    whole = json.loads(path.read_text())["sessions"][0]
    changed(path, sessions=[{**whole, **change}])
    with pytest.raises(RunError, match=message):
        read_left_out(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": 3}, r"shapes\[0\].settings is 3; a dictionary"),
        ({"score": "x"}, r"shapes\[0\].score is 'x'; float is needed"),
        ({"rank": 1.5}, r"rank is 1.5; int is needed"),
    ],
)
def test_shapes_of_another_type_are_named(tmp_path, change, message):
    path = tmp_path / "record.json"
    record = ShapesRecord(ranges={"model.n_factors": (2, 9)}, shapes=(SHAPE,))
    write_shapes(path, record)
    assert read_shapes(path) == record
    whole = json.loads(path.read_text())["shapes"][0]
    changed(path, shapes=[{**whole, **change}])
    with pytest.raises(RunError, match=message):
        read_shapes(path)
    changed(path, shapes=[whole], ranges={"model.n_factors": [1]})
    with pytest.raises(RunError, match=r"ranges.model.n_factors has 1 entries; 2 are needed"):
        read_shapes(path)


@pytest.mark.parametrize(
    "change",
    [{"members": [{}]}, {"members": ["1"]}, {"nats": 3}, {"n_trials": 1e400}, {"nats": [None]}],
)
def test_an_ensemble_that_cannot_be_read_is_made_again(tmp_path, change):
    path = tmp_path / "record.json"
    record = EnsembleRecord(
        members=(1, 0), nats=(0.1, 0.2), candidates=(0, 1), scores=(0.3, 0.2), n_trials=3
    )
    write_ensemble(path, record)
    assert read_ensemble(path) == record
    changed(path, **change)
    assert read_ensemble(path) is None
