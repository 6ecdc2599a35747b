"""A search that goes on with more or fewer members; and where a run goes on elsewhere."""

from __future__ import annotations

import shutil
import signal
from functools import partial

import pytest
import torch
from run_cases import Watcher, differences, recording, settings
from safetensors import safe_open

from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.history_file import read_history
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_status import status
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run
from lfads_torch.workflows.fit_file import go_on
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.report import report_run
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.stored import read_settings_of

SEARCH = ("search.population=4", "search.generations=4", "search.generation_epochs=2",
          "search.stop_generations=0", "inference.n_samples=3")  # fmt: skip
STOPPED = 4  # epochs that are done; generation 0 has three, the ramps' one and two more


class Killed(BaseException):
    """As good as a kill."""


class DiesOn(Watcher):
    """At a message, in an epoch, or at the end of the first generation."""

    def __init__(self, text: str = "", *, epoch: int = -1, at_generation: bool = False) -> None:
        super().__init__()
        self._text, self._epoch, self._at_generation = text, epoch, at_generation

    def message(self, text):
        if self._text and self._text in text:
            raise Killed

    def epoch(self, report, settings):
        if report.epoch == self._epoch:
            raise Killed

    def generation(self, report, settings):
        if self._at_generation:
            raise Killed


def stop_after(*stops: int) -> Watcher:
    def after(report):
        if report.epoch in stops:
            signal.raise_signal(signal.SIGTERM)

    return Watcher(after)


def searched(folder, *overrides: str, stop: int | None = STOPPED - 1) -> RunFolder:
    observer = None if stop is None else stop_after(stop)
    return search_run(recording(), settings(*SEARCH, *overrides), folder, observer=observer)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """For copies."""
    return searched(tmp_path_factory.mktemp("half") / "run")


@pytest.fixture
def stopped(half, tmp_path) -> RunFolder:
    return RunFolder(shutil.copytree(half.path, tmp_path / "run"))


def members_of(run: RunFolder) -> list[list[int]]:
    return [row.get("members") or list(range(len(row["loss"]))) for row in run.metrics.read()]


def resumed(run: RunFolder, n_members: int, observer=None) -> RunFolder:
    options = FitOptions(population=n_members, allow_different_numbers=True)
    return resume_run(run.path, options=options, observer=observer)


def worst(run: RunFolder, n: int) -> set[int]:
    scores = run.metrics.read()[STOPPED - 1]["valid_score"]
    return set(sorted(range(len(scores)), key=lambda p: -scores[p])[:n])


def test_with_fewer_members_the_worst_leave_and_the_search_ends(stopped):
    gone, before = worst(stopped, 2), read_history(stopped.history_path)
    watcher = Watcher()
    run = resumed(stopped, 2, watcher)
    stay = sorted({0, 1, 2, 3} - gone)
    assert members_of(run) == [[0, 1, 2, 3]] * STOPPED + [stay] * (9 - STOPPED)
    rows = read_history(run.history_path)
    assert rows[: len(before)] == before
    assert [row["member"] for row in rows[len(before) :]] == stay * 3
    found = status(run.path)
    assert (found["status"], found["n_members"], found["epoch"]) == ("finished", 2, 8)
    own = read_settings_of(run)
    assert (own.search.population, own.run.n_seeds) == (2, 2)
    (told,) = (text for text in run.read_record().warnings if "2 members instead of 4" in text)
    assert all(str(each) in told.rpartition(":")[2] for each in gone)
    assert any("2 members instead of 4" in text for text in watcher.said)


def test_with_more_members_copies_join(stopped):
    run = resumed(stopped, 6)
    assert members_of(run)[STOPPED:] == [[0, 1, 2, 3, 4, 5]] * (9 - STOPPED)
    rows = read_history(run.history_path)
    # Its ancestors can be followed: a parent is a member of the generation before.
    for row in rows:
        before = {r["member"] for r in rows if r["generation"] == row["generation"] - 1}
        assert row["parent"] in (before or {row["member"]})
    assert {row["founder"] for row in rows} <= {0, 1, 2, 3}


def test_an_id_is_never_given_twice(stopped):
    """Down to two, up again: those who left do not come back."""
    run = resumed(stopped, 2, stop_after(STOPPED))
    run = resumed(run, 4, stop_after(STOPPED + 1))
    stay = members_of(run)[STOPPED]
    assert members_of(run)[STOPPED + 1] == [*stay, 4, 5]
    run = resumed(run, 1, stop_after(STOPPED + 2))
    run = resumed(run, 3)
    last = members_of(run)[-1]
    assert last[1:] == [6, 7]


@pytest.mark.slow  # the page draws every figure
def test_rates_and_the_page_do_with_gaps_between_ids(stopped):
    run = resumed(stopped, 2, stop_after(STOPPED))
    run = resumed(run, 3)
    infer_to_file(run, recording(), run.rates_path, is_new=False)
    report_run(run, recording=recording())
    assert "3 members instead of 2" in run.report_path.read_text(encoding="utf-8")


def test_what_is_kept_is_kept_to_the_bit(stopped):
    """Stopped again before another epoch: only rows of the members who left are gone."""
    before = tensors(stopped)
    members = [m for m in range(4) if m not in worst(stopped, 1)]
    rows = torch.tensor(members)
    with pytest.raises(Killed):
        resumed(stopped, 3, DiesOn("instead of 4"))
    assert tensors(stopped).keys() == before.keys()  # it died before the state was stored
    with pytest.raises(Killed):  # needs no leave any more
        resume_run(stopped.path, observer=DiesOn(epoch=STOPPED))
    assert members_of(stopped)[STOPPED] == members
    assert len(stopped.read_record().warnings) == 1
    start = tensors(stopped)
    assert {name: value.tolist() for name, value in tensors(stopped, "generation").items()} == {
        name: value.tolist() for name, value in start.items()
    }
    for name, value in before.items():
        if not name.startswith("search/") and name != "members":
            assert torch.equal(start[name], value[rows]), name
    assert torch.equal(start["search/founder"], before["search/founder"][rows])
    assert torch.equal(start["search/parent"], before["search/parent"][rows])
    assert start["members"].tolist() == members


def tensors(run: RunFolder, name: str = "last") -> dict[str, torch.Tensor]:
    with safe_open(run.path / "checkpoints" / f"{name}.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("n_members", [3, 5])
def test_a_resumed_search_of_another_size_can_be_stopped_and_resumed(stopped, n_members, tmp_path):
    other = RunFolder(shutil.copytree(stopped.path, tmp_path / "other"))
    whole = resumed(other, n_members)
    run = resumed(stopped, n_members, stop_after(STOPPED))
    for epoch in range(STOPPED + 1, 9):
        run = resume_run(run.path, observer=stop_after(epoch))
    assert run.read_record().status == "finished"
    assert differences(run, whole) == []
    assert run.history_path.read_bytes() == whole.history_path.read_bytes()


def test_between_the_last_epoch_of_a_generation_and_its_end(tmp_path):
    """Then the history's terms are those of the old population's last epoch."""
    with pytest.raises(Killed):
        search_run(
            recording(), settings(*SEARCH), tmp_path / "run", observer=DiesOn(at_generation=True)
        )
    run = RunFolder(tmp_path / "run")
    assert len(run.metrics.read()) == 3
    last = run.metrics.read()[-1]
    gone = sorted(range(4), key=lambda p: last["valid_score"][p])[2:]
    run = resumed(run, 2)
    rows = [row for row in read_history(run.history_path) if row["generation"] == 0]
    stay = [m for m in range(4) if m not in gone]
    assert [(row["member"], row["loss"]) for row in rows] == [(m, last["loss"][m]) for m in stay]


def test_before_the_first_epoch_it_is_the_search_begun_with_that_size(tmp_path):
    with pytest.raises(Killed):
        search_run(recording(), settings(*SEARCH), tmp_path / "run", observer=DiesOn(epoch=0))
    run = resumed(RunFolder(tmp_path / "run"), 3, stop_after(1))
    whole = searched(tmp_path / "whole", "search.population=3", stop=1)
    assert differences(run, whole) == []
    assert run.read_record().n_members == 3


def test_it_must_be_allowed(stopped):
    with pytest.raises(RunError, match=r"population was 4, is 3.*--allow-different-numbers"):
        resume_run(stopped.path, options=FitOptions(population=3))
    assert read_settings_of(stopped).search.population == 4
    assert status(stopped.path)["status"] == "interrupted"


def test_the_size_that_it_has_needs_no_leave(stopped):
    run = resume_run(stopped.path, options=FitOptions(population=4), observer=stop_after(STOPPED))
    assert members_of(run)[STOPPED] == [0, 1, 2, 3]


@pytest.mark.parametrize("n_members", [0, -1])
def test_no_members_are_refused(stopped, n_members):
    with pytest.raises(SettingsError, match=rf"--population. is {n_members}: at least one"):
        resumed(stopped, n_members)


@pytest.mark.parametrize(
    ("overrides", "stop", "why"),
    [
        (("search.method=random",), 0, "a search of the method random cannot go on with 3"),
        (("search.start=halving", "search.halving_epochs=2"), 0, "are being halved until 4"),
    ],
    ids=["random", "halving"],
)
def test_where_it_cannot_change_it_is_refused(tmp_path, overrides, stop, why):
    run = searched(tmp_path / "run", *overrides, stop=stop)
    before = run.settings_path.read_bytes()
    with pytest.raises(RunError, match=why):
        resumed(run, 3)
    assert run.settings_path.read_bytes() == before


def test_a_list_is_what_it_is(tmp_path):
    values = ({"training.learning_rate": 1e-3}, {"training.learning_rate": 2e-3})
    own = settings(*SEARCH[1:], "search.method=list")
    run = search_run(recording(), own, tmp_path / "run", values=values, observer=stop_after(0))
    with pytest.raises(RunError, match="its members are the values of the list"):
        resumed(run, 3)


def test_after_halving_it_can_change(tmp_path):
    halving = ("search.population=2", "search.start=halving", "search.halving_factor=2",
               "search.halving_epochs=1")  # fmt: skip
    run = searched(tmp_path / "run", *halving, stop=1)
    ids = members_of(run)[-1]
    run = resumed(run, 3, stop_after(2))
    assert members_of(run)[-1] == [*ids, 4]


def test_a_fit_has_no_population(tmp_path):
    run = fit_run(recording(), settings("run.n_seeds=2"), tmp_path / "run", observer=stop_after(0))
    with pytest.raises(RunError, match="is a fit, whose restarts all train to the end"):
        resumed(run, 3)


@pytest.mark.parametrize("given", [{"population": 3}, {"device": "cpu"}])
@pytest.mark.parametrize("goes_on", [resume_run, partial(go_on, observer=Watcher())])
def test_a_run_that_has_finished_is_not_changed(finished, given, goes_on):
    options = FitOptions(allow_different_numbers=True, **given)
    with pytest.raises(RunError, match="the run has finished, so --"):
        goes_on(finished if isinstance(goes_on, partial) else finished.path, options=options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    return fit_run(recording(), settings("training.epochs=1"), folder)


def test_another_device_is_remembered(stopped):
    run = resume_run(stopped.path, options=FitOptions(device="auto"), observer=stop_after(STOPPED))
    assert read_settings_of(run).run.device == "auto"
    with pytest.raises(SettingsError, match=r"run\.device"):
        resume_run(run.path, options=FitOptions(device="abacus"))
