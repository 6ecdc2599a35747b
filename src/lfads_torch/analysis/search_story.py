"""What a search did, in sentences: how much was trained, why it ended, who won with what.

Everything comes from history.csv, space.yaml and run.json, which may lack any piece; then a
sentence is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.analysis.figures.search_look import history_of, label_of, limits_of
from lfads_torch.analysis.search_history import SearchHistory, is_search

__all__ = ["HyperparameterRow", "SearchStory", "at_a_limit", "search_story", "winner_text"]

_METHODS = {
    "population": "Population-based training: after each generation losers went on from the "
    "winners' states with changed hyperparameters.",
    "explore_only": "A population without exploitation: hyperparameters changed, but no member "
    "was ever copied.",
    "random": "Random search: every member kept the hyperparameters that it drew.",
    "list": "Given settings side by side: nothing was drawn and nothing was copied.",
}
_MOST_NAMED = 12
NEAR = 1.05  # a limit is reached within this factor of it; most steps of a perturbation are larger


@dataclass(frozen=True, kw_only=True)
class HyperparameterRow:
    """One searched hyperparameter of the winner, in words."""

    label: str
    name: str
    first: str  # what the winner's line began with
    value: str  # at the best epoch
    range: str
    remark: str  # where it sits at a limit, and what to do


@dataclass(frozen=True, kw_only=True)
class SearchStory:
    """The page's section on a search."""

    sentences: tuple[str, ...]
    winner: tuple[str, ...]
    hyperparameters: tuple[HyperparameterRow, ...]
    lines: tuple[str, ...]
    frozen: tuple[str, ...]


def search_story(inputs: FigureInputs) -> SearchStory | None:
    """`None` for a run that is no search."""
    if not is_search(inputs.run, inputs.history):
        return None
    if not inputs.history:
        text = "No generation has ended yet, or history.csv is gone: there is nothing to tell."
        return SearchStory(sentences=(text,), winner=(), hyperparameters=(), lines=(), frozen=())
    history = history_of(inputs)
    return SearchStory(
        sentences=(_method(inputs), *_extent(inputs, history), *_ending(inputs, history)),
        winner=tuple(_winner(inputs, history)),
        hyperparameters=tuple(_hyperparameters(inputs, history)),
        lines=tuple(_lines(history)),
        frozen=tuple(_frozen(inputs, history)),
    )


def winner_text(inputs: FigureInputs) -> str:
    """The winner's hyperparameters as lines of a settings file; empty if there are none.

    Divergence scales are in the published unit, as they enter the loss.
    """
    if not inputs.history:
        return ""
    history = history_of(inputs)
    values = _winning_values(history)
    sections: dict[str, list[str]] = {}
    for name, value in values.items():
        section, _, setting = name.partition(".")
        sections.setdefault(section, []).append(f"  {setting}: {_yaml_number(value)}")
    if any(name.startswith("loss.kl_") for name in values):
        sections["loss"].append("  kl_scale_unit: published")
    return "".join(f"{name}:\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def at_a_limit(value: float, limits: tuple[float, float], *, keeps_limits: bool) -> str:
    """Whether a value is within 5 % of an end of its range, and what to do; empty if not."""
    low, high = limits
    if value < low or value > high:
        side = "below" if value < low else "above"
        if keeps_limits:
            return f"{side} its range, which should have kept it: was space.yaml changed?"
        return f"{side} its range, which bounded the first draw only: nothing to do"
    if not keeps_limits:
        return ""
    again = "in a copy of space.yaml and search again with `--space FILE`"
    if value > high / NEAR:
        return (
            f"at its upper limit: a larger value may be better. Raise `high` above {high:g} {again}"
        )
    if low > 0 and value < low * NEAR:
        return (
            f"at its lower limit: a smaller value may be better. Lower `low` below {low:g} {again}"
        )
    return "close to 0, its lower limit: it may not be needed" if value < high * (NEAR - 1) else ""


def _record(inputs: FigureInputs) -> Mapping[str, Any]:  # JSON values of `search` in run.json
    return inputs.run.get("search") or {}


def _setting(inputs: FigureInputs, name: str) -> Any:  # a value of the section `search`
    return (inputs.settings.get("search") or {}).get(name)


def _method(inputs: FigureInputs) -> str:
    method = str(_record(inputs).get("method") or _setting(inputs, "method") or "")
    return _METHODS.get(method, "A search over hyperparameters.")


def _extent(inputs: FigureInputs, history: SearchHistory) -> list[str]:
    """Members, generations, epochs."""
    rounds = history.generations < 0
    n_in = history.is_there.sum(axis=1)
    found = []
    if rounds.any():
        n_rounds = int(rounds.sum())
        sizes = " and then ".join(str(int(n)) for n in n_in[rounds])
        found.append(
            f"It began with {_count(n_rounds, 'round')} of halving, of {sizes} members; the best "
            "of them became the population."
        )
    n_generations = int((~rounds).sum())
    limit = _setting(inputs, "generations")
    of_limit = f" of at most {limit}" if limit and n_generations < int(limit) else ""
    found.append(
        f"{_count(int(n_in[-1]), 'member')} trained for {_count(n_generations, 'generation')}"
        f"{of_limit}{_lengths(inputs)}."
    )
    trained = _record(inputs).get("member_epochs") or _member_epochs(inputs)
    passes = _record(inputs).get("n_validation_passes")
    if trained:
        and_passes = f" and {passes} passes over the validation trials" if passes else ""
        found.append(f"That is {trained} member-epochs in all{and_passes}.")
    return found


def _lengths(inputs: FigureInputs) -> str:
    """Epochs of a generation, and of the first one, which waits for the ramps."""
    length = {
        row["generation"]: row["last_epoch"] - row["first_epoch"] + 1
        for row in inputs.history
        if row.get("first_epoch") is not None and row.get("last_epoch") is not None
    }
    if 0 not in length:
        return ""
    later = length.get(1)
    if later is None or later == length[0]:
        return f" of {_count(length[0], 'epoch')}"
    return f" of {_count(later, 'epoch')}, the first of them of {length[0]}"


def _member_epochs(inputs: FigureInputs) -> int:
    """Of a search still going on; members that froze count up to their generation's end."""
    spans = [(row.get("first_epoch"), row.get("last_epoch")) for row in inputs.history]
    return sum(last - first + 1 for first, last in spans if first is not None and last is not None)


def _ending(inputs: FigureInputs, history: SearchHistory) -> list[str]:
    reason = str(_record(inputs).get("stop_reason") or "").strip().rstrip(".")
    if not reason:
        return ["It has not ended: this is how it stands."]
    found = [f"Why it ended: {reason}."]
    limit, best = _setting(inputs, "generations"), history.best
    last = int(history.generations[-1])
    if limit and best is not None and last + 1 >= int(limit) and best.generation == last and last:
        found.append(
            "The best score was found in the last generation, at the limit: more generations "
            "(search.generations) may do better."
        )
    return found


def _winner(inputs: FigureInputs, history: SearchHistory) -> list[str]:
    best = history.best
    if best is None:
        return ["There is no best state: the ramps were not over, or no score was finite."]
    epoch = "" if best.epoch is None else f", epoch {best.epoch}"
    line = "" if best.founder is None else f", of the line that began in slot {best.founder}"
    found = [
        f"The best state is that of slot {best.slot} in generation {best.generation}{epoch}{line}: "
        f"smoothed validation score {best.score:.5g} (reconstruction in nats, lower is better; "
        "used for selection)."
    ]
    later = int(history.generations[-1]) - best.generation
    if later > 0:
        found.append(
            f"{_count(later, 'generation')} came after it and brought nothing better; the weights "
            "of that epoch were kept."
        )
    found += _descent(history)
    if len(inputs.metrics) and len(set(history.winner[history.winner >= 0])) > 1:
        found.append(
            "In the loss curves below, the bold line follows its descent from slot to slot, up to "
            "the generation in which it was found."
        )
    if best.founder is not None:
        found.append(
            "`lfads infer` uses it by default; `--member K` takes the best state of the line that "
            "began in slot K."
        )
    return found


def _descent(history: SearchHistory) -> list[str]:
    """How often the winner's ancestors moved to another slot and changed their values."""
    rows = np.flatnonzero(history.winner >= 0)
    if len(rows) < 2:
        return []
    slots = history.winner[rows]
    n_moves = int((np.diff(slots) != 0).sum())
    n_changes = sum(
        any(values[rows[k], slots[k]] != values[rows[k - 1], slots[k - 1]]
            for values in history.values.values())
        for k in range(1, len(rows))
    )  # fmt: skip
    if not n_moves and not n_changes:
        return ["It stayed in its slot, with the hyperparameters that it began with."]
    return [
        f"On the way it was copied into another slot {_times(n_moves)}, and its hyperparameters "
        f"changed {_times(n_changes)}: the values below are those of its last stretch, not what "
        "it was trained with throughout."
    ]


def _hyperparameters(inputs: FigureInputs, history: SearchHistory) -> list[HyperparameterRow]:
    values = _winning_values(history)
    started = np.flatnonzero(history.winner >= 0)
    rows = []
    for name, value in values.items():
        first = history.values[name][started[0], history.winner[started[0]]]
        entry = inputs.space.get(name) or {}
        limits = limits_of(inputs.space, name)
        remark = ""
        if limits is not None:
            keeps = bool(entry.get("keeps_limits", True))
            remark = at_a_limit(value, limits, keeps_limits=keeps)
        rows.append(
            HyperparameterRow(
                label=label_of(name),
                name=name,
                first=_number(float(first)),
                value=_number(value),
                range="" if limits is None else f"{_number(limits[0])} to {_number(limits[1])}",
                remark=remark,
            )
        )
    return rows


def _winning_values(history: SearchHistory) -> dict[str, float]:
    """What the best state was trained with when it was found, by dotted name."""
    best = history.best
    if best is None or not (history.winner >= 0).any():
        return {}
    row = int(np.flatnonzero(history.winner >= 0)[-1])
    found = {name: float(each[row, history.winner[row]]) for name, each in history.values.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _lines(history: SearchHistory) -> list[str]:
    """How many founders have descendants at the end."""
    n_founders = int(history.is_there[0].sum())
    alive = history.founders_alive
    last = history.founder[-1][history.is_there[-1]]
    if len(alive) == n_founders == len(last):
        return ["Every line that began is there at the end: nobody was copied over another."]
    shown = ", ".join(f"{int((last == each).sum())} of slot {each}" for each in alive[:_MOST_NAMED])
    more = ", ..." if len(alive) > _MOST_NAMED else ""
    found = [
        f"Of {_count(n_founders, 'line')}, {len(alive)} {'is' if len(alive) == 1 else 'are'} left "
        f"at the end; members of the last generation by the slot in which their line began: "
        f"{shown}{more}."
    ]
    if len(alive) == 1 and len(last) > 1:
        found.append(
            "All members of the last generation are relatives: their agreement is no sign that "
            "the result does not depend on the start."
        )
    return found


def _frozen(inputs: FigureInputs, history: SearchHistory) -> list[str]:
    """Who left the finite numbers, when, and by which term."""
    rows = [row for row in inputs.history if row.get("is_frozen")]
    if not rows:
        return ["No member was frozen: every number of every member stayed finite."]
    terms = Counter(str(row.get("broke") or "the score") for row in rows)
    listed = ", ".join(f"{term} {_times(n)}" for term, n in terms.most_common())
    named = "; ".join(
        f"slot {row['member']} in generation {row['generation']} ({row.get('broke') or 'score'})"
        for row in rows[:_MOST_NAMED]
    )
    more = (
        f"; and {len(rows) - _MOST_NAMED} more, see history.csv" if len(rows) > _MOST_NAMED else ""
    )
    found = [
        f"Frozen because a number was not finite: {named}{more}. What broke: {listed}. Frozen "
        "members lose, and the others did not notice."
    ]
    share = len(rows) / len(inputs.history)
    if share > 0.1:
        found.append(
            f"That is {share:.0%} of all: much of the search was lost. Lower the upper limit of "
            "training.learning_rate in the space, or training.max_gradient_norm."
        )
    if history.is_frozen[-1][history.is_there[-1]].all():
        found.append(
            "In the last generation all members were frozen; the best state is of an earlier one."
        )
    return found


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _number(value: float) -> str:
    return f"{value:.3g}"


def _yaml_number(value: float) -> str:
    """Exactly, in a member's own precision, and a number to readers of YAML 1.1 too."""
    single = np.float32(value)
    digits, _, exponent = (str(single) if float(single) == value else repr(value)).partition("e")
    return f"{digits if '.' in digits else digits + '.0'}e{exponent}" if exponent else digits
