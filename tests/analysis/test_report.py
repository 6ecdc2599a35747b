"""The page: self-contained, escaped, and in words where something is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.analysis.report import render_report, write_report
from lfads_torch.analysis.report_facts import beta_rows, headline, set_rows, warnings
from lfads_torch.analysis.report_scores import highlights, score_rows
from lfads_torch.data.recording import Recording
from lfads_torch.errors import OutputError, SettingsError

NASTY = '<script>alert("x")</script>'
FEW = ("single_trial_rates", "inferred_inputs", "loss_curves")


def nasty_run() -> FigureInputs:
    """A small run whose every text is an attempt to break the page."""
    rng = np.random.default_rng(0)
    shape = (5, 9, 3)
    recording = Recording(
        counts=rng.poisson(1.0, shape),
        bin_width_s=0.01,
        trial_ids=np.arange(5),
        unit_ids=np.array([f"{NASTY}{u}" for u in range(3)]),
        session=NASTY,
    )
    rates = xr.Dataset(
        {
            "rates": (("trial", "time", "unit"), rng.uniform(1, 9, shape), {"units": "spikes/s"}),
            "trial_id": ("trial", recording.trial_ids),
            "unit_id": ("unit", recording.unit_ids.astype(object)),
            "trial_set": ("trial", np.array(["train"] * 3 + ["valid"] * 2, dtype=object)),
            "is_encoded": ("unit", np.array([1, 1, 0], dtype=np.int8)),
            "is_encoded_bin": ("time", (np.arange(9) < 7).astype(np.int8)),
        },
        {"time": recording.time_s},
        {"bin_width_s": 0.01, "beta_initial_condition": 0.019, "beta_inputs": 2.0,
         "observation": NASTY},
    )  # fmt: skip
    one = {"valid_score": [0.4], "ramp_kl": [1.0], "ramp_l2": [1.0], "learning_rate": [4e-3]}
    return FigureInputs(
        rates=rates,
        recording=recording,
        metrics=[
            {"epoch": 0, "step": 1, "seconds": 2.0, "reconstruction": [0.5], **one},
            {"epoch": 1, "step": 2, "seconds": 2.0, "reconstruction": [None], **one},
        ],
        scores={"scores": [
            {"name": f"masked_{NASTY}", "set": "valid", "value": 0.25, "low": 0.2, "high": 0.3,
             "n_trials": 2, "note": NASTY},
            {"name": "co_smoothing", "set": "test", "value": None, "reason": "no held-out units"},
            {"name": "behaviour R2", "set": "test", "value": 0.5, "n_trials": 3},
        ]},
        run={"status": "finished", "command": ["lfads", "fit", NASTY], "seed": 7,
             "data_path": NASTY, "sizes": {"units": 3}, "versions": {NASTY: "1"}},
        settings={"model": {"n_factors": 4, "note": NASTY}},
        check={"findings": [{"severity": "warning", "found": NASTY, "remedy": NASTY}]},
    )  # fmt: skip


class Page(HTMLParser):
    """Tags and attributes of a page, and whether every tag that was opened was closed."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(nasty_run(), figures=FEW)


def test_the_page_needs_nothing_from_outside(page):
    assert not re.search(r"https?:|url\(|@import", page)
    for tag, attributes in Page(page).tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")


def test_the_page_is_well_formed_and_every_link_and_id_is_right(page):
    parsed = Page(page)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for tag, attributes in parsed.tags if tag == "a"]
    assert set(links) <= set(ids)


def test_text_of_the_run_is_escaped(page):
    assert NASTY not in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_every_image_has_a_text_and_every_figure_says_what_it_cannot_tell(page):
    images = [attributes for tag, attributes in Page(page).tags if tag == "img"]
    assert len(images) == 2  # the inferred inputs are missing
    assert all(len(image["alt"]) > 40 for image in images)
    assert page.count("What this cannot tell.") == 2


def test_what_holds_of_all_scores_is_said_once():
    run = nasty_run()
    entries = [{**entry, "set": "valid"} for entry in run.scores["scores"]]
    page = render_report(replace(run, scores={"scores": entries}), figures=())
    assert page.count('class="mark">used for selection') == 1
    assert "All these figures were used for selection" in page


def test_a_missing_figure_gives_its_reason(page):
    assert re.search(r'id="figure-inferred_inputs".*?Not drawn. The model has no controller', page,
                     re.DOTALL)  # fmt: skip


def test_the_page_states_beta_sets_and_selection(page):
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    assert "0.019" in text
    assert "weak, far below" in text
    assert "strong, at or above" in text
    assert "3 units, 1 of them held out" in text
    assert "2 of them forward bins" in text
    assert page.count('class="mark">used for selection') == 2  # its tile and its row
    assert "0.200 to 0.300 (95%)" in text
    assert "The best epoch is 0" in text
    assert "no held-out units" in text
    assert "lfads fit" in text
    assert "n_factors: 4" in text


def test_warnings_name_the_term_and_the_missing_test_set(page):
    found = warnings(nasty_run())
    assert any(
        text.startswith("reconstruction was not finite in 1 epoch (first: 1)") for text in found
    )
    assert any("no test set" in text for text in found)
    stopped = replace(
        nasty_run(), run={"status": "failed", "reason": "no space", "warnings": ["w"]}
    )
    assert "w" in warnings(stopped)
    assert any("'failed'" in text for text in warnings(stopped))


def test_a_refit_says_that_nothing_was_selected():
    made = nasty_run()
    rates = made.rates.assign(trial_set=("trial", np.array(["train"] * 5, dtype=object)))
    refit = replace(made, rates=rates, run={"status": "finished", "refit": {"run": "first"}})
    said = " ".join(headline(refit) + warnings(refit))
    assert "a refit of first" in said
    assert "no figure here says how the model does on new trials" in said
    assert "best epoch" not in said
    assert "used for selection" not in said
    assert "used for selection" in " ".join(headline(made) + warnings(made))


def test_a_run_that_left_nothing_still_has_a_page():
    page = render_report(FigureInputs())
    assert Page(page).open == []
    assert page.count("Not drawn. ") == 8
    assert "<img" not in page
    for sentence in ("No epoch is on record", "No scores are on record", "There is no run.json",
                     "No data check is on record", "holds no settings.yaml", "sets are not known",
                     "neither in rates.nc nor in run.json"):  # fmt: skip
        assert sentence in page


def test_the_same_run_gives_the_same_page(page):
    assert render_report(nasty_run(), figures=FEW) == page


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    path = write_report(tmp_path / "report.html", nasty_run(), figures=("loss_curves",))
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    before = path.read_bytes()
    with pytest.raises(SettingsError):
        write_report(path, nasty_run(), figures=("no_such_figure",))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError):
        write_report(tmp_path / "absent" / "report.html", FigureInputs(), figures=())


@pytest.mark.parametrize(
    "scores",
    [
        {"format": "lfads-torch scores", "scores": [{"name": "a b", "set": "test", "value": 1.0}]},
        {"set": "test", "a_b": 1.0},
        {"a_b": {"value": 1.0, "set": "test", "interval": [0.5, 1.5]}},
        {"test": {"a_b": {"value": 1.0}}},
        {"test": {"a_b": 1.0}},
    ],
    ids=range(5),
)  # fmt: skip
def test_scores_are_read_in_every_shape(scores):
    (row,) = score_rows(scores)
    assert (row.name, row.set_name, row.value) == ("a b", "test", "1.000")
    assert not row.used_for_selection


def test_highlights_prefer_what_was_not_selected_on():
    rows = score_rows(nasty_run().scores)
    assert [row.value for row in highlights(rows)] == ["0.500", "0.250"]


def test_beta_over_members_is_a_range_and_zero_is_off():
    (row,) = beta_rows(FigureInputs(run={"beta": {"initial_condition": [0.1, 0.5]}}))
    assert row[1] == "0.1 to 0.5 over members"
    assert row[2].startswith("moderate")
    (row,) = beta_rows(FigureInputs(run={"beta": {"inputs": 0}}))
    assert "switched off" in row[2]


def test_sets_are_counted():
    assert [(name, n) for name, n, _ in set_rows(nasty_run())] == [("train", 3), ("validation", 2)]
