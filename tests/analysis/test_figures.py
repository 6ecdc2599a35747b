"""Every figure draws from what a run leaves, or says in a sentence why it cannot."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from simulated_search import simulated_search

from lfads_torch.analysis.figures.averages import smoothed
from lfads_torch.analysis.figures.base import (
    FigureChoice,
    FigureInputs,
    FigureRecipe,
    draw_figure,
)
from lfads_torch.analysis.figures.choose import FIGURES, choose_figure, figure_names
from lfads_torch.analysis.figures.encode import as_data_uri, as_png, as_svg, write_figure
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, OutputError, SettingsError

N_BINS, SKIPPED = 33, 3  # bins of the recording, and those before generation starts


COLOURS = ("Greys", "viridis")


def fake_run(
    *, n_trials: int = 12, n_units: int = 5, n_inputs: int = 1, n_members: int = 1, seed: int = 0
) -> FigureInputs:
    """A run on three conditions; rates.nc has fewer bins than the recording, in another order."""
    rng = np.random.default_rng(seed)
    truth = 20 + 15 * np.sin(np.arange(N_BINS)[:, None] / 5 + np.arange(n_units))
    truth = np.broadcast_to(truth, (n_trials, N_BINS, n_units)) * rng.uniform(
        0.5, 1.5, (n_trials, 1, 1)
    )
    pulses = np.zeros((n_trials, N_BINS, 1))
    pulses[np.arange(n_trials), 5 + np.arange(n_trials) % 20, 0] = 1.0
    recording = Recording(
        counts=rng.poisson(truth * 0.01).astype(np.float64),
        bin_width_s=0.01,
        start_s=-0.1,
        trial_ids=np.arange(n_trials) + 100,
        unit_ids=np.array([f"unit-{u}" for u in range(n_units)]),
        session="fake",
        condition=np.array([f"c{b % 3}" for b in range(n_trials)]),
        true_rates=truth,
        true_inputs=pulses,
    )
    return FigureInputs(
        rates=fake_rates(recording, np.arange(n_trials)[::-1], n_inputs=n_inputs, rng=rng),
        recording=recording,
        metrics=fake_metrics(n_members),
        settings={"model": {"input_prior": "autoregressive", "input_prior_variance": 0.1}},
    )


# alignment.json of two sessions, one of which could not be shuffled.
FAKE_ALIGNMENT = {
    "sessions": [
        {
            "session": name,
            "variance_explained": 0.8,
            "variance_explained_shuffled": shuffled,
            "correlation": [0.9, 0.5, -0.1],
        }
        for name, shuffled in (("monday", 0.1), ("tuesday", None))
    ]
}


def fake_search(n_members: int = 6, n_generations: int = 5) -> FigureInputs:
    """The same run, as the winner of a search."""
    made = simulated_search(n_members, n_generations, n_searched=2)
    return replace(
        fake_run(),
        metrics=made.metrics,
        history=made.history,
        space=made.space,
        run=made.run,
        settings={**fake_run().settings, **made.settings},
        alignment=FAKE_ALIGNMENT,
    )


def fake_rates(
    recording: Recording, order: np.ndarray, *, n_inputs: int, rng: np.random.Generator
) -> xr.Dataset:
    """rates.nc of these trials: the true rates, and signals of noise."""
    n_trials, n_bins = len(order), N_BINS - SKIPPED
    sets = np.array((["train"] * 3 + ["valid"]) * n_trials)[:n_trials].astype(object)
    rates = recording.true_rates[order, SKIPPED:]
    signals = {
        "rates": (("trial", "time", "unit"), rates, {"units": "spikes/s"}),
        "rate_posterior_std": (("trial", "time", "unit"), 0.1 * rates),
        "factors": (("trial", "time", "factor"), rng.normal(size=(n_trials, n_bins, 4))),
        "initial_condition_mean": (
            ("trial", "initial_condition_dimension"),
            rng.normal(size=(n_trials, 3)),
        ),
        "trial_id": ("trial", recording.trial_ids[order]),
        "unit_id": ("unit", recording.unit_ids.astype(object)),
        "trial_set": ("trial", sets),
        "condition": ("trial", recording.condition[order].astype(object)),
        "is_encoded": ("unit", (np.arange(recording.n_units) != 1).astype(np.int8)),
        "is_encoded_bin": ("time", (np.arange(n_bins) < n_bins - 4).astype(np.int8)),
    }
    if n_inputs:
        values = rng.normal(size=(n_trials, n_bins, n_inputs))
        signals["inferred_input_mean"] = (("trial", "time", "inferred_input"), values)
    attributes = {"bin_width_s": 0.01, "beta_initial_condition": 0.019, "beta_inputs": 1.5}
    return xr.Dataset(signals, {"time": recording.time_s[SKIPPED:]}, attributes)


def fake_metrics(n_members: int, n_epochs: int = 7) -> list[dict]:
    rows = []
    for epoch in range(n_epochs):
        values = {
            key: [1.0 / (epoch + 1) + member for member in range(n_members)]
            for key in ("reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss",
                        "gradient_norm", "learning_rate", "valid_reconstruction", "valid_score")
        }  # fmt: skip
        ramp = [min(1.0, epoch / 3)] * n_members
        rows.append({"epoch": epoch, "step": 3 * epoch, "seconds": 1.0, **values,
                     "ramp_kl": ramp, "ramp_l2": ramp})  # fmt: skip
    return rows


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_and_says_what_it_shows(name):
    recipe = choose_figure(name)
    figure = draw_figure(recipe, fake_search())
    assert isinstance(figure, Figure)
    assert figure.axes
    assert recipe.name == name
    assert all(len(text) > 40 for text in (recipe.caption, recipe.caveat))


@pytest.mark.filterwarnings("error")  # a layout that collapsed is only warned of
@pytest.mark.parametrize("name", FIGURES)
def test_the_smallest_run_draws_or_gives_a_reason(name):
    inputs = fake_run(n_trials=1, n_units=1, n_inputs=0)
    reason = choose_figure(name).needs(inputs)
    if reason is None:
        draw_figure(choose_figure(name), inputs).draw_without_rendering()
    else:
        assert reason.endswith((".", ")."))
    must_refuse = {"psth", "inferred_inputs", "initial_conditions", "alignment"}
    assert (reason is not None) == (name in must_refuse or name.startswith("search_"))


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_that_left_nothing_gives_a_reason_and_an_error_of_ours(name):
    recipe = choose_figure(name)
    assert recipe.needs(FigureInputs())
    with pytest.raises(DataError, match=f"figure '{name}' cannot be drawn: "):
        draw_figure(recipe, FigureInputs())


@pytest.mark.parametrize("name", ["rates", "single_trial_rates", "psth"])
def test_missing_entries_are_drawn_as_missing(name):
    inputs = fake_run()
    counts = inputs.recording.counts.copy()
    counts[2, 5:9] = np.nan
    counts[:, :, 3] = np.nan
    as_svg(draw_figure(choose_figure(name), replace(inputs, recording=replace(
        inputs.recording, counts=counts, true_rates=None, true_inputs=None
    ))))  # fmt: skip


def test_without_truth_the_condition_average_stands_in_and_rate_truth_refuses():
    inputs = fake_run()
    inputs = replace(inputs, recording=replace(inputs.recording, true_rates=None))
    figure = draw_figure(choose_figure("single_trial_rates"), inputs)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("condition average" in label for label in labels)
    assert any("not a confidence interval" in label for label in labels)
    assert "synthetic" in choose_figure("rate_truth").needs(inputs)


def test_images_under_one_colour_bar_share_their_limits():
    inputs = fake_run()
    assert inputs.recording is not None
    counts = inputs.recording.counts.copy()
    ids = [str(each) for each in inputs.recording.trial_ids[:3].tolist()]
    counts[1, :, :] *= 9  # a trial of its own limit would look like the others
    inputs = replace(inputs, recording=replace(inputs.recording, counts=counts))
    figure = choose_figure("rates").draw(inputs, FigureChoice(trials=tuple(ids)))
    images = [image for panel in figure.axes for image in panel.get_images()]
    limits = {name: {i.get_clim() for i in images if i.cmap.name == name} for name in COLOURS}
    assert [len(each) for each in limits.values()] == [1, 1]
    (counts_limit,) = limits["Greys"]
    shown = np.concatenate([i.get_array().compressed() for i in images if i.cmap.name == "Greys"])
    assert counts_limit[1] == max(1.0, np.percentile(shown, 99.9))


def test_averages_of_the_model_are_compared_with_the_same_smoothing_as_those_of_the_data():
    figure = draw_figure(choose_figure("psth"), fake_run())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "before smoothing" in labels
    lines = figure.axes[0].get_lines()
    n = sum(label.startswith("condition ") for label in labels)
    assert n >= 1
    dotted = [line for line in lines if line.get_linestyle() == ":"][:n]
    thin = [line for line in lines if line.get_linewidth() == 1.3]
    assert len(dotted) == len(thin) == n
    for raw, drawn in zip(dotted, thin, strict=True):
        values = np.asarray(raw.get_ydata(), dtype=float)
        expected = smoothed(values[None, :, None], 0.01)[0, :, 0]
        np.testing.assert_allclose(np.asarray(drawn.get_ydata(), dtype=float), expected)
        assert not np.allclose(values, expected)


def test_trials_are_matched_by_id_and_bins_by_time():
    inputs = fake_run()
    figure = draw_figure(choose_figure("single_trial_rates"), inputs)
    panel = figure.axes[0]
    inferred, true = (
        next(line.get_ydata() for line in panel.lines if line.get_label() == label)
        for label in ("inferred rate", "true rate")
    )
    np.testing.assert_allclose(inferred, true)


def test_another_recording_is_refused_with_what_differs():
    inputs = fake_run()
    other = replace(inputs.recording, trial_ids=inputs.recording.trial_ids + 1)
    assert "1 trials" in choose_figure("rates").needs(replace(inputs, recording=other))
    units = replace(inputs.recording, unit_ids=inputs.recording.unit_ids[::-1])
    assert "units" in choose_figure("rates").needs(replace(inputs, recording=units))
    late = replace(inputs.recording, start_s=5.0)
    assert "bins" in choose_figure("rates").needs(replace(inputs, recording=late))


def test_the_user_chooses_trials_and_units_by_id():
    choice = FigureChoice(trials=(103, "101"), units=("unit-4",))
    figure = draw_figure(choose_figure("single_trial_rates"), fake_run(), choice)
    assert [panel.get_title(loc="left").split()[1] for panel in figure.axes] == ["103", "101"]
    assert "unit-4" in figure.axes[0].get_ylabel()


@pytest.mark.parametrize("choice", [FigureChoice(trials=(999,)), FigureChoice(units=("unit-9",))])
def test_an_unknown_id_names_the_nearest(choice):
    with pytest.raises(DataError, match=r"is not in rates\.nc.*the nearest is"):
        draw_figure(choose_figure("single_trial_rates"), fake_run(), choice)


def test_inputs_without_a_controller_are_refused_with_the_setting():
    reason = choose_figure("inferred_inputs").needs(fake_run(n_inputs=0))
    assert "no controller" in reason
    assert "n_inferred_inputs" in reason


def test_inputs_are_numbered_as_the_scores_number_them():
    figure = draw_figure(choose_figure("inferred_inputs"), fake_run(n_inputs=3))
    labels = [panel.get_ylabel() for panel in figure.axes if panel.get_ylabel().startswith("input")]
    assert labels == ["input 0\ntrial", "input 1\ntrial", "input 2\ntrial"]


def test_conditions_are_needed_for_averages():
    inputs = fake_run()
    inputs = replace(
        inputs,
        rates=inputs.rates.drop_vars("condition"),
        recording=replace(inputs.recording, condition=None),
    )
    assert "no conditions" in choose_figure("psth").needs(inputs)
    for name in ("rates", "single_trial_rates", "factors_3d", "initial_conditions"):
        assert draw_figure(choose_figure(name), inputs).axes


@pytest.mark.parametrize("name", ["rates", "factors_3d"])
def test_the_same_inputs_give_the_same_bytes(name):
    first, second = (draw_figure(choose_figure(name), fake_run()) for _ in range(2))
    assert as_svg(first) == as_svg(second)
    if name == "rates":
        assert as_png(first) == as_png(second)


def test_drawing_leaves_matplotlib_as_it_was():
    with matplotlib.rc_context({"font.size": 31.0, "axes.facecolor": "green"}):
        before = dict(matplotlib.rcParams)
        mine = as_svg(draw_figure(choose_figure("rate_truth"), fake_run()))
        assert dict(matplotlib.rcParams) == before
    assert mine == as_svg(draw_figure(choose_figure("rate_truth"), fake_run()))


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_a_figure_is_written_as_its_name_says(tmp_path, ending, start):
    figure = draw_figure(OneLine(), FigureInputs())
    first, second = (write_figure(tmp_path / f"{n}.{ending}", figure) for n in "ab")
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()


def test_another_ending_is_refused_with_those_that_work(tmp_path):
    with pytest.raises(OutputError, match=r"\.svg, \.png or \.pdf"):
        write_figure(tmp_path / "figure.xls", draw_figure(OneLine(), FigureInputs()))
    assert list(tmp_path.iterdir()) == []


def test_a_data_uri_stands_alone():
    figure = draw_figure(choose_figure("loss_curves"), fake_run(n_members=3))
    assert as_data_uri(figure).startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))


def test_the_list_of_figures_draws_nothing_and_imports_no_pyplot():
    code = (
        "import sys; from lfads_torch.analysis.figures.choose import choose_figure, figure_names;"
        "figure_names(); assert 'matplotlib' not in sys.modules;"
        "choose_figure('rates'); assert 'matplotlib.pyplot' not in sys.modules;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("conditon", "psth"),
        ("averages", "psth"),
        ("initial_conditon", "initial_conditions"),
        ("initial", "initial_conditions"),
        ("losses", "loss_curves"),
    ],
)
def test_a_figure_is_found_by_what_it_shows(name, meant):
    with pytest.raises(SettingsError, match=rf"there is no '{name}'. Did you mean '{meant}'\?"):
        choose_figure(name)


def test_an_unknown_figure_names_the_nearest_and_all():
    with pytest.raises(
        SettingsError, match=r"figure: there is no 'rate'. Did you mean 'rates'.*psth"
    ):
        choose_figure("rate")


class OneLine(FigureRecipe):
    """A figure as a plug-in author would write it."""

    name, title = "one_line", "One line"
    caption, caveat = "A line.", "Anything else."

    def needs(self, inputs):
        return None

    def draw(self, inputs, choice):
        figure = Figure()
        figure.add_subplot().plot([0, 1], [0, 1])
        return figure


def test_a_figure_of_ones_own_is_loaded_by_its_place(tmp_path, monkeypatch):
    (tmp_path / "my_figures.py").write_text(
        "from lfads_torch.analysis.figures.loss_curves import LossCurves\n"
        "class Mine(LossCurves):\n    name = 'mine'\nclass NoFigure: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert choose_figure("my_figures:Mine").name == "mine"
    for wrong, message in (
        ("my_figures:NoFigure", "is of another kind; derive the class from .*FigureRecipe"),
        ("my_figures:Absent", "could not be loaded"),
        ("no_such_package:Figure", "could not be loaded"),
    ):
        with pytest.raises(SettingsError, match=message):
            choose_figure(wrong)
    assert figure_names()[0] == "rates"
    stream = io.BytesIO()
    draw_figure(OneLine(), FigureInputs()).savefig(stream, format="png")
    assert stream.getvalue().startswith(b"\x89PNG")
