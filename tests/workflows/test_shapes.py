"""Random search over shapes: a run per shape, one table, and going on with what is unfinished."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import contextmanager

import pytest
from run_cases import SMALL, Watcher, recording

from lfads_torch.config.read import read_settings
from lfads_torch.config.space import SpaceChoice
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DivergenceError, OutputError, RunError, SettingsError
from lfads_torch.outputs.history_file import read_history
from lfads_torch.outputs.inspect import describe
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.shapes_file import read_shapes
from lfads_torch.workflows import fit_file, shapes
from lfads_torch.workflows.fit_file import FitRequest
from lfads_torch.workflows.search_file import SearchRequest
from lfads_torch.workflows.shapes import ShapesRequest, search_shapes
from lfads_torch.workflows.stored import read_settings_of

RANDOM = ("search.method=random", "search.population=3", "search.generations=1",
          "search.generation_epochs=1")  # fmt: skip
RANGES = ("model.generator_size=4..9", "training.learning_rate=1e-4..1e-2")


@pytest.fixture(autouse=True)
def results_are_not_written(monkeypatch):
    """Rates, scores and page, which the tests of a search's file have, take long."""
    monkeypatch.setattr(fit_file, "finish_run", lambda run, **given: run)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.h5"
    write_recording(recording(), path)
    return path


def request(source, folder, *overrides: str, n_shapes=2, ranges=RANGES, **given) -> ShapesRequest:
    settings = read_settings(preset="small", overrides=(*SMALL, *RANDOM, *overrides))
    fit = FitRequest(source=source, folder=folder, settings=settings, **given)
    search = SearchRequest(fit=fit, choice=SpaceChoice(ranges=ranges))
    return ShapesRequest(search=search, n_shapes=n_shapes)


def run(asked: ShapesRequest, observer=None):
    """The record, what was said, and the folders that were trained in."""
    said, trained = [], []

    @contextmanager
    def watching(folder):
        trained.append(folder.name)
        yield observer or Watcher()

    return search_shapes(asked, watching, say=said.append), said, trained


@pytest.fixture(scope="module")
def searched(source, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(fit_file, "finish_run", lambda run, **given: run)
    folder = tmp_path_factory.mktemp("shapes") / "out"
    record, _, _ = run(request(source, folder))
    patch.undo()
    return folder, record


def test_every_shape_is_a_random_search_of_its_own(searched):
    folder, record = searched
    assert [each.folder for each in record.shapes] == ["shape_0", "shape_1"]
    assert [each.members for each in record.shapes] == [2, 1]
    rates = []
    for shape in record.shapes:
        own = read_settings_of(RunFolder(folder / shape.folder))
        assert own.model.generator_size == shape.settings["model.generator_size"]
        assert (own.search.population, own.run.seed) == (shape.members, shape.seed)
        rows = read_history(folder / shape.folder / "history.csv")
        assert [row["member"] for row in rows] == list(range(shape.members))
        rates += [row["augmentation.dropout_rate"] for row in rows]
        assert shape.score == RunFolder(folder / shape.folder).read_record().search["best"]["score"]
    assert len(set(rates)) == 3  # no member draws what another shape's has drawn


def test_they_are_ranked_in_a_file(searched):
    folder, record = searched
    assert read_shapes(folder / "shapes.json") == record
    content = json.loads((folder / "shapes.json").read_text())
    assert (content["format"], content["format_version"]) == ("lfads-torch shapes", 1)
    best = min(record.shapes, key=lambda each: each.score)
    assert (best.rank, record.best, content["best"]) == (1, best.folder, best.folder)
    assert sorted(each.rank for each in record.shapes) == [1, 2]


def test_the_folder_and_the_file_can_be_inspected(searched):
    folder, _ = searched
    assert list(describe(folder)["shapes"]) == ["shape_0", "shape_1"]
    assert describe(folder / "shapes.json")["what"] == "shapes"
    with pytest.raises(RunError, match="holds the runs shape_0, shape_1"):
        RunFolder.open(folder)


def test_another_search_is_not_overwritten(searched, source):
    folder, _ = searched
    with pytest.raises(RunError, match=r"2 of 2 are finished.*--resume-if-exists"):
        run(request(source, folder))


def test_what_is_finished_stays(searched, source):
    folder, record = searched
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    asked = request(source, folder, "run.seed=9", resume_if_exists=True)
    again, said, trained = run(asked)
    assert (again, trained) == (record, [])
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    assert sum("is finished; it stays as it is" in text for text in said) == 2


def test_other_shapes_than_those_that_were_begun_are_told(searched, source):
    folder, record = searched
    asked = request(source, folder, n_shapes=3, resume_if_exists=True)
    again, said, _ = run(asked)
    assert again == record
    assert any("was begun with other shapes" in text for text in said)


def test_a_signal_leaves_the_rest_and_it_goes_on(searched, source, tmp_path):
    folder = tmp_path / "out"
    stop = Watcher(lambda report: signal.raise_signal(signal.SIGTERM))
    record, _, trained = run(request(source, folder, resume_if_exists=True), stop)
    assert trained == ["shape_0"]
    assert [each.status for each in record.shapes] == ["interrupted", "waiting"]
    assert (record.shapes[0].reason, record.best) == ("SIGTERM", None)
    record, _, trained = run(request(source, folder, resume_if_exists=True))
    assert trained == ["shape_0", "shape_1"]
    assert record == searched[1]  # the same draws, the same scores
    for shape in record.shapes:
        ours, theirs = (each / shape.folder / "history.csv" for each in (folder, searched[0]))
        assert ours.read_bytes() == theirs.read_bytes()


def test_what_overwrite_has_not_reached_is_not_taken_as_new(
    searched, source, tmp_path, monkeypatch
):
    folder = shutil.copytree(searched[0], tmp_path / "out")

    def killed(request, observer):
        raise KeyboardInterrupt

    whole = shapes.search_file
    monkeypatch.setattr(shapes, "search_file", killed)
    with pytest.raises(KeyboardInterrupt):
        run(request(source, folder, "run.seed=9", overwrite=True))
    monkeypatch.setattr(shapes, "search_file", whole)
    record, _, trained = run(request(source, folder, "run.seed=9", resume_if_exists=True))
    assert trained == ["shape_0", "shape_1"]
    for shape in record.shapes:
        own = read_settings_of(RunFolder(folder / shape.folder))
        assert (own.run.seed, own.search.population) == (shape.seed, shape.members)
        assert own.model.generator_size == shape.settings["model.generator_size"]


def test_a_shape_that_diverges_does_not_stop_the_others(source, tmp_path, monkeypatch):
    real = shapes.search_file

    def diverges(request, observer):
        if request.fit.folder.name == "shape_0":
            raise DivergenceError("every member left the finite numbers")
        return real(request, observer)

    monkeypatch.setattr(shapes, "search_file", diverges)
    record, _, _ = run(request(source, tmp_path / "out"))
    assert [each.status for each in record.shapes] == ["failed", "finished"]
    assert record.shapes[0].reason == "every member left the finite numbers"
    assert (record.shapes[0].rank, record.best) == (None, "shape_1")


def test_overwriting_begins_anew(source, tmp_path):
    folder = tmp_path / "out"
    one = {"n_shapes": 1}
    first, _, _ = run(request(source, folder, "search.population=1", **one))
    asked = request(source, folder, "search.population=1", "run.seed=9", overwrite=True, **one)
    again, _, trained = run(asked)
    assert trained == ["shape_0"]
    assert again.shapes[0].seed != first.shapes[0].seed
    assert read_settings_of(RunFolder(folder / "shape_0")).run.seed == again.shapes[0].seed


@pytest.mark.parametrize(
    ("overrides", "given", "told"),
    [
        (
            ("search.method=population",),
            {},
            "shapes .--shapes. are for a random search.*Add --method random",
        ),
        (
            (),
            {"n_shapes": 4},
            "shapes .--shapes. is 4; needed is a number from 1 to the population, 3",
        ),
        ((), {"n_shapes": 0}, "shapes .--shapes. is 0"),
        ((), {"ranges": RANGES[1:]}, "no setting that changes shapes is searched"),
        ((), {"ranges": ("model.n_factors=4..5",), "n_shapes": 3}, "only 2 different shapes"),
    ],
    ids=["method", "too many", "none", "no range", "few values"],
)
def test_what_cannot_work_is_refused_and_nothing_is_written(
    source, tmp_path, overrides, given, told
):
    with pytest.raises(SettingsError, match=told):
        run(request(source, tmp_path / "out", *overrides, **given))
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_refused(source, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        run(request(source, tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "other"}', '{"shapes": 1}'])
def test_a_damaged_table_is_refused(tmp_path, text):
    path = tmp_path / "shapes.json"
    path.write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        read_shapes(path)
