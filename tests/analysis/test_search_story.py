"""The search's story on the page: its sentences hold for the history they are told of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from simulated_search import SimulatedSearch, simulated_search

from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.analysis.report import render_report
from lfads_torch.analysis.report_facts import headline, warnings
from lfads_torch.analysis.search_story import at_a_limit, search_story, winner_text


def inputs_of(made: SimulatedSearch) -> FigureInputs:
    return FigureInputs(
        history=made.history,
        metrics=made.metrics,
        run=made.run,
        settings=made.settings,
        space=made.space,
    )


def row_of(made: SimulatedSearch, generation: int, member: int) -> dict:
    (row,) = [
        row for row in made.history if (row["generation"], row["member"]) == (generation, member)
    ]
    return row


def told(inputs: FigureInputs) -> str:
    story = search_story(inputs)
    return " ".join([*story.sentences, *story.winner, *story.lines, *story.frozen])


def test_it_tells_how_much_was_trained_and_why_it_ended():
    made = simulated_search(6, 4, halving_rounds=2)
    said = told(inputs_of(made))
    assert "2 rounds of halving, of 24 and then 12 members" in said
    assert "6 members trained for 4 generations of 10 epochs, the first of them of 25." in said
    assert f"{made.run['search']['member_epochs']} member-epochs" in said
    assert "Why it ended: the limit of 4 generations was reached." in said


def test_it_tells_who_won_and_what_came_after():
    made = simulated_search(20, 30)
    best = made.run["search"]["best"]
    best |= {"generation": 27}  # the slot of that time
    said = told(inputs_of(made))
    assert f"slot {best['slot']} in generation 27, epoch {best['epoch']}" in said
    assert f"line that began in slot {best['member']}" in said
    assert f"{best['score']:.5g}" in said
    assert "2 generations came after it and brought nothing better" in said
    assert "more generations (search.generations)" not in said


def test_a_best_score_in_the_last_generation_at_the_limit_asks_for_more():
    made = simulated_search(4, 3)
    assert made.run["search"]["best"]["generation"] == 2
    assert "more generations (search.generations) may do better" in told(inputs_of(made))


def test_frozen_members_are_named_with_their_term():
    made = simulated_search(6, 4, freeze_rate=0.0)
    assert "No member was frozen" in told(inputs_of(made))
    made.history[7] |= {"is_frozen": 1, "score": None, "broke": "kl_inputs"}
    place = made.history[7]
    said = told(inputs_of(made))
    assert f"slot {place['member']} in generation {place['generation']} (kl_inputs)" in said
    assert "much of the search was lost" not in said


def test_a_search_that_lost_most_members_says_what_to_do():
    made = simulated_search(6, 4, freeze_rate=0.6, seed=2)
    said = told(inputs_of(made))
    assert "much of the search was lost. Lower the upper limit of training.learning_rate" in said
    gone = simulated_search(3, 2, freeze_rate=1.1)
    said = told(inputs_of(gone))
    assert "There is no best state" in said
    assert "all members were frozen" in said
    assert winner_text(inputs_of(gone)) == ""


def test_lines_that_survived_are_counted():
    made = simulated_search(3, 3, method="random")
    assert "Every line that began is there at the end" in told(inputs_of(made))
    made = simulated_search(8, 40)
    said = told(inputs_of(made))
    assert "Of 8 lines, 1 is left at the end" in said
    assert "All members of the last generation are relatives" in said


def test_the_winner_s_values_stand_beside_first_draws_and_ranges():
    made = simulated_search(6, 5)
    best = made.run["search"]["best"]
    row = row_of(made, best["generation"], best["slot"])
    first = row_of(made, 0, best["member"])
    found = {each.name: each for each in search_story(inputs_of(made)).hyperparameters}
    assert found.keys() == made.space.keys()
    for name, each in found.items():
        assert each.value == f"{row[name]:.3g}"
        assert each.first == f"{first[name]:.3g}"
    assert found["augmentation.dropout_rate"].range == "0 to 0.6"


@pytest.mark.parametrize(
    ("value", "keeps", "words"),
    [
        (4.9e-3, True, "at its upper limit: a larger value may be better. Raise `high`"),
        (1.02e-5, True, "at its lower limit: a smaller value may be better. Lower `low`"),
        (1e-3, True, ""),
        (4.5e-3, True, ""),
        (6e-3, False, "above its range, which bounded the first draw only"),
        (1e-6, False, "below its range, which bounded the first draw only"),
        (6e-3, True, "above its range, which should have kept it"),
        (4.9e-3, False, ""),
    ],
)
def test_a_value_at_its_limit_is_marked_with_what_to_do(value, keeps, words):
    said = at_a_limit(value, (1e-5, 5e-3), keeps_limits=keeps)
    assert said.startswith(words)
    assert bool(said) == bool(words)


def test_a_lower_limit_of_zero_cannot_be_widened():
    assert at_a_limit(0.001, (0.0, 0.6), keeps_limits=True).startswith("close to 0")
    assert at_a_limit(0.1, (0.0, 0.6), keeps_limits=True) == ""


def test_the_winner_s_values_are_a_settings_file():
    made = simulated_search(4, 3)
    best = made.run["search"]["best"]
    row = row_of(made, best["generation"], best["slot"])
    text = winner_text(inputs_of(made))
    read = yaml.safe_load(text)
    assert read["loss"].pop("kl_scale_unit") == "published"
    flat = {f"{section}.{name}": value for section, part in read.items()
            for name, value in part.items()}  # fmt: skip
    assert flat == {name: row[name] for name in made.space}


def test_a_plug_ins_number_may_be_named_like_ours():
    made = simulated_search(4, 3)
    for row in made.history:
        for name in made.space:
            del row[name]
        row["own_prior.kl_power"] = 2.0
    assert yaml.safe_load(winner_text(inputs_of(made))) == {"own_prior": {"kl_power": 2.0}}


def test_values_in_single_precision_are_written_as_short_as_they_are():
    made = simulated_search(3, 1)
    for row in made.history:
        row["training.learning_rate"] = float(np.float32(0.004))
        row["loss.kl_input_scale"] = float(np.float32(1e-5))
    text = winner_text(inputs_of(made))
    assert "learning_rate: 0.004\n" in text
    assert "kl_input_scale: 1.0e-05\n" in text


def test_a_list_of_given_settings_shows_what_was_given():
    made = simulated_search(3, 2, n_searched=0)
    given = [{"training.learning_rate": rate} for rate in (1e-3, 2e-3, 3e-3)]
    made.run["search"] |= {"method": "list", "values": given}
    made.settings["search"]["method"] = "list"
    made.run["search"]["best"] |= {"slot": 1, "member": 1}
    (row,) = search_story(inputs_of(made)).hyperparameters
    assert (row.first, row.value, row.range) == ("0.002", "0.002", "")
    assert "nothing was copied" in " ".join(search_story(inputs_of(made)).sentences)


def test_a_search_that_goes_on_or_lost_its_files_still_has_a_story():
    made = simulated_search(4, 3, has_space=False)
    going = replace(inputs_of(made), run={"status": "running", "search": {"method": "population"}})
    said = told(going)
    assert "It has not ended" in said
    assert "180 member-epochs" in said
    assert all(not row.range for row in search_story(going).hyperparameters)
    assert "nothing to tell" in told(replace(going, history=()))
    assert search_story(FigureInputs()) is None


def test_the_page_of_a_search_has_a_section_of_its_own_and_that_of_a_fit_has_not():
    made = simulated_search(5, 4)
    few = ("search_tree",)
    page = render_report(inputs_of(made), figures=few)
    for words in ('id="search"', 'href="#search"', "The winner", "Why it ended",
                  'id="figure-search_tree"', "as a settings file"):  # fmt: skip
        assert words in page
    fit = render_report(FigureInputs(metrics=made.metrics, run={"status": "finished"}), figures=few)
    assert "search" not in fit
    assert "<h2>Summary</h2>" in fit


def test_the_page_escapes_what_a_history_says():
    made = simulated_search(3, 2, freeze_rate=0.0)
    nasty = "<script>alert(1)</script>"
    made.history[0] |= {"is_frozen": 1, "broke": nasty}
    made.run["search"]["stop_reason"] = nasty
    page = render_report(inputs_of(made), figures=())
    assert nasty not in page
    assert page.count("&lt;script&gt;") >= 2


def test_headline_and_warnings_speak_of_a_search():
    made = simulated_search(5, 4, freeze_rate=0.3)
    inputs = inputs_of(made)
    said = " ".join(headline(inputs))
    assert f"slot {made.run['search']['best']['slot']} of 5" in said
    assert "train longer" not in said
    assert not any("was not finite" in text for text in warnings(inputs))
