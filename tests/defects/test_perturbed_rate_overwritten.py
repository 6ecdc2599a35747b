"""In a peer a learning rate changed by the search has no effect: the restored optimiser wins."""

from __future__ import annotations

from search_cases import SearchCase, Watcher
from training_cases import Case

from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.space import Range
from lfads_torch.search.state import load_search, save_search

RATE = Range(name="training.learning_rate", low=1e-5, high=5e-3, first=4e-3, weight=0.3)
SEARCH = SearchCase(
    Case(n_train=5, n_valid=3),
    SearchSettings(population=2, generations=2, generation_epochs=1, stop_generations=0),
    space=(RATE,),
)


def test_a_copy_moves_by_the_rate_that_the_log_shows_also_from_a_checkpoint(tmp_path):
    """Two searches that differ in the copy's rate alone: its first step is in proportion."""
    path, begun = tmp_path / "last.safetensors", []
    layout = SEARCH.case.task().layout

    def on_begin(state):
        save_search(path, state, layout, seed=SEARCH.case.seed)
        begun.append(state.population.copy())

    watcher = Watcher(on_begin=on_begin)
    # No decay of weights: a step is in proportion to the rate.
    SEARCH.run(SEARCH.start(), watcher)
    (start,) = begun
    (copy,) = [row["member"] for row in watcher.rows[2:] if row["parent"] != row["member"]]
    logged = watcher.rows[2 + copy]["training.learning_rate"]
    assert watcher.epochs[-1].values["learning_rate"][copy] == logged
    assert abs(logged / 4e-3 - 1.0) > 5e-4

    steps = []
    for rate in (logged, 4e-3):
        state = load_search(path, layout, start.weights.device)
        state.population.hyperparameters.learning_rate[copy] = rate
        SEARCH.run(state, Watcher())
        steps.append(state.population.weights[copy] - start.weights[copy])
    moved = steps[1].abs() > 1e-9
    ratio = (steps[0] / steps[1])[moved]
    assert int(moved.sum()) > 100
    assert float((ratio - logged / 4e-3).abs().max()) < 1e-6
