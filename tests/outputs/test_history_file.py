"""history.csv comes back bit for bit, or says where it is damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lfads_torch.errors import RunError
from lfads_torch.outputs.history_file import COLUMNS, read_history, searched_names, write_history


def row(generation: int, member: int, **values: object) -> dict[str, object]:
    return {"generation": generation, "member": member, "parent": member, "founder": member,
            "is_frozen": 0, "broke": "", "outcome": "kept", **values}  # fmt: skip


def test_floats_come_back_exactly_and_a_second_writing_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    numbers = [*np.exp(rng.uniform(-700, 700, 33)), 1e16, 1e22, 5e-324, -0.0, 0.1 + 0.2, 3.0]
    rows = [row(0, m, score=v, **{"training.learning_rate": v}) for m, v in enumerate(numbers)]
    path = tmp_path / "history.csv"
    write_history(path, rows)
    first = path.read_bytes()
    read = read_history(path)
    assert [float(r["score"]).hex() for r in read] == [float(v).hex() for v in numbers]
    assert all(isinstance(r["training.learning_rate"], float) for r in read)
    write_history(path, read)
    assert path.read_bytes() == first


def test_what_is_missing_is_none_and_texts_are_texts(tmp_path):
    path = tmp_path / "history.csv"
    rows = [
        row(-1, 7, score=math.nan, is_frozen=True, broke='a "term", and\nmore', outcome="dropped"),
        row(0, 3, loss=np.float32(0.1), **{"training.batch_size": np.int64(64)}),
    ]
    write_history(path, rows)
    first, second = read_history(path)
    assert (first["generation"], first["is_frozen"], first["score"]) == (-1, 1, None)
    assert (first["broke"], first["outcome"]) == ('a "term", and\nmore', "dropped")
    assert second["loss"] == float(np.float32(0.1))
    assert second["training.batch_size"] == 64
    assert isinstance(second["training.batch_size"], int)
    assert list(second) == [*COLUMNS, "training.batch_size"]
    assert searched_names([first, second]) == ["training.batch_size"]


def test_no_file_and_no_rows_are_no_rows(tmp_path):
    assert read_history(tmp_path / "history.csv") == []
    write_history(tmp_path / "history.csv", [])
    assert read_history(tmp_path / "history.csv") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "line 1: no column generation, member, parent, founder"),
        (lambda text: text.replace("founder", "found"), "line 1: no column founder"),
        (lambda text: text.replace("loss", "l2"), "line 1: the column l2 stands there twice"),
        (lambda text: text[: len(text) // 2], "ends in the middle of a line"),
        (lambda text: text.replace("0.25,", ""), r"line 3: 18 fields where the header has 19"),
        (lambda text: text.replace("0.25", "0.2x"), "line 3: score is '0.2x'; a number"),
        (lambda text: text.replace("0.25", "nan"), "line 3: score is 'nan'; a number"),
        (lambda text: text.replace("0,1,1,1", "0,1,,1"), "line 3: parent is empty"),
        (lambda text: text.replace("0,1,1,1", "0.5,1,1,1"), "line 3: generation is '0.5'; a whole"),
        (lambda text: text.replace("0,1,1,1", "0,0,1,1"), "member 0 of generation 0 stands there"),
        (lambda text: text.replace("0.25", '"0.25'), "is not CSV"),
        (lambda text: text.replace("kept", "k\udcff"), "cannot be read"),
    ],
    ids=range(12),
)
def test_a_damaged_file_says_where(tmp_path, change, message):
    path = tmp_path / "history.csv"
    write_history(path, [row(0, 0, score=0.5), row(0, 1, score=0.25)])
    changed = change(path.read_text(encoding="utf-8"))
    path.write_bytes(changed.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(RunError, match=message) as caught:
        read_history(path)
    assert str(path) in str(caught.value)
    assert "restore it" in str(caught.value)


def test_a_column_that_another_version_added_is_kept(tmp_path):
    path = tmp_path / "history.csv"
    write_history(path, [row(0, 0, note="nice", more=2)])
    (read,) = read_history(path)
    assert (read["note"], read["more"]) == ("nice", 2)
