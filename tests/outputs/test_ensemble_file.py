"""`ensemble.json`: written and read back, and made again where it is not whole."""

from __future__ import annotations

import json

from lfads_torch.outputs.ensemble_file import EnsembleRecord, read_ensemble, write_ensemble

RECORD = EnsembleRecord(
    members=(4, 0), nats=(0.5, 0.25), candidates=(4, 1, 0), scores=(0.1, 0.1 + 0.2, 0.7), n_trials=3
)


def test_it_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "ensemble.json"
    assert write_ensemble(path, RECORD)
    assert read_ensemble(path) == RECORD
    assert RECORD.is_of((4, 1, 0), (0.1, 0.1 + 0.2, 0.7))
    assert not RECORD.is_of((4, 1, 0), (0.1, 0.3, 0.7))


def test_what_is_missing_newer_or_damaged_is_as_if_there_were_none(tmp_path):
    path = tmp_path / "ensemble.json"
    assert read_ensemble(path) is None
    write_ensemble(path, RECORD)
    whole = json.loads(path.read_text())
    for change in ({"format_version": 2}, {"members": []}, {"members": [9]}, {"n_trials": None}):
        path.write_text(json.dumps(whole | change))
        assert read_ensemble(path) is None, change
    for name in whole:
        path.write_text(json.dumps({k: v for k, v in whole.items() if k != name}))
        assert read_ensemble(path) is None, name
    path.write_text(path.read_text()[:20])
    assert read_ensemble(path) is None


def test_a_folder_that_cannot_be_written_gets_none(tmp_path):
    assert not write_ensemble(tmp_path / "nowhere" / "ensemble.json", RECORD)
