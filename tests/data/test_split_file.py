"""Split files: round trip, a peer's file, and the messages for malformed ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.split_file import read_split, split_as_document, write_split
from lfads_torch.data.splitting import split_recording
from lfads_torch.errors import DataError, FormatError, OutputError


def recording() -> Recording:
    rng = np.random.Generator(np.random.Philox(0))
    return Recording(
        counts=rng.poisson(1.0, (11, 5, 7)),
        bin_width_s=0.01,
        trial_ids=np.array([f"trial é{trial}" for trial in range(11)]),
        unit_ids=np.arange(7) * 10,
    )


def split() -> Split:
    settings = SplitSettings(test_fraction=0.2, held_out_fraction=0.3, n_forward_bins=2, seed=4)
    return split_recording(recording(), settings)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, split(), recording())
    found = read_split(path, recording())
    np.testing.assert_array_equal(found.trial_set, split().trial_set)
    np.testing.assert_array_equal(found.is_encoded, split().is_encoded)
    assert found.n_encoded_bins == 3
    assert found.provenance["seed"] == 4
    assert found.provenance["source"] == str(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["split.json"]


def test_a_split_follows_ids_not_positions(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, split(), recording())
    order = np.array([3, 1, 0, 2, 10, 9, 8, 7, 4, 5, 6])
    shuffled = recording().take_trials(order)
    np.testing.assert_array_equal(read_split(path, shuffled).trial_set, split().trial_set[order])


def test_a_peer_s_file_by_positions(tmp_path: Path) -> None:
    path = tmp_path / "peer.json"
    path.write_text(
        json.dumps({"what": "x", "validation_trials": [2, 10], "held_out_units": [0, 6]})
    )
    found = read_split(path, recording())
    np.testing.assert_array_equal(found.trials("valid"), [2, 10])
    assert len(found.trials("train")) == 9
    np.testing.assert_array_equal(np.flatnonzero(~found.is_encoded), [0, 6])
    assert found.n_encoded_bins == 5


def document(**changes: object) -> dict[str, object]:
    return {**split_as_document(split(), recording()), **changes}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("{", FormatError, "is not JSON"),
        ("[1]", FormatError, "a JSON object is needed"),
        ("{}", FormatError, "\"format\" is None; 'lfads-torch split' is needed"),
        (document(format_version=2), FormatError, "knows up to 1. Update lfads-torch"),
        (document(format_version="1"), FormatError, "format_version"),
        (document(trials=[1]), FormatError, '"trials" must be an object'),
        (document(trials={"training": []}), FormatError, '"trials" must be an object'),
        (document(trials={"train": "all"}), FormatError, "must be a list of ids"),
        (document(trials={"train": [1.5]}), FormatError, "must be a list of ids"),
        (document(trials={"train": ["nobody"]}), DataError, "e.g. 'nobody'"),
        (
            document(trials={"train": ["trial é1"]}),
            DataError,
            "10 trials of the recording are in no",
        ),
        (
            document(trials={"train": ["trial é1"], "test": ["trial é1"]}),
            DataError,
            "both in the train and the test set",
        ),
        (document(held_out_units=[3]), DataError, "held-out units: 1 ids are not in the recording"),
        (document(held_out_units=list(range(0, 70, 10))), DataError, "all 7 units are held out"),
        (document(n_encoded_bins=6), DataError, "1 to 5 is needed"),
        (document(n_encoded_bins=None), DataError, "1 to 5 is needed"),
        ({"validation_trials": [11], "held_out_units": []}, DataError, "positions from 0"),
        ({"validation_trials": [-1], "held_out_units": []}, DataError, "positions from 0"),
        ({"validation_trials": [], "held_out_units": []}, DataError, "the valid set is empty"),
    ],
)
def test_malformed_files_are_explained(
    tmp_path: Path, content: object, error: type[Exception], message: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(error, match=message) as caught:
        read_split(path, recording())
    assert str(path) in str(caught.value)


def test_a_missing_or_binary_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="could not be read"):
        read_split(tmp_path / "none.json", recording())
    (tmp_path / "binary.json").write_bytes(b"\x80\x04\x95\xff")
    with pytest.raises(FormatError, match="is not JSON"):
        read_split(tmp_path / "binary.json", recording())


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    ids = recording().trial_ids.tolist()
    path = tmp_path / "split.json"
    path.write_text(json.dumps(document(trials={"train": ids})))
    with pytest.raises(DataError, match="the valid set is empty"):
        read_split(path, recording())


def test_nothing_is_left_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_split(tmp_path / "no_folder" / "split.json", split(), recording())
    assert not list(tmp_path.iterdir())


def test_numpy_values_in_the_provenance_are_no_obstacle(tmp_path: Path) -> None:
    found = replace(split(), provenance={"seed": np.int64(3), "fraction": np.float64(0.5)})
    write_split(tmp_path / "split.json", found, recording())
    assert read_split(tmp_path / "split.json", recording()).provenance["seed"] == 3


def test_the_published_split_of_the_maze_file() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = folder / "mc_maze_large_subset_split.json"
    if not path.exists():
        pytest.skip(f"needs {path.name} in ../shared/data")
    maze = Recording(
        counts=np.ones((165, 100, 162), dtype=np.uint8),
        bin_width_s=0.005,
        trial_ids=np.arange(165),
        unit_ids=np.arange(162),
    )
    found = read_split(path, maze)
    assert len(found.trials("valid")) == 36
    assert len(found.trials("train")) == 129
    assert (~found.is_encoded).sum() == 40
