"""Searches that never trained anything: histories as a population-based search would leave them.

A member has a level of training that grows with its learning rate, and a penalty for values far
from the best ones; its score is their sum and noise. Tournaments, perturbations, ramps, members
that freeze and rounds of halving are as in a real search; the numbers are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["SPACE", "SimulatedSearch", "simulated_search"]

Row = dict[str, Any]

SPACE: dict[str, dict[str, Any]] = {
    name: {"low": low, "high": high, "first": first, "weight": weight, "keeps_limits": keeps}
    for name, low, high, first, weight, keeps in (
        ("training.learning_rate", 1e-5, 5e-3, 4e-3, 0.3, True),
        ("augmentation.dropout_rate", 0.0, 0.6, "uniform", 0.3, True),
        ("augmentation.coordinated_dropout_rate", 0.01, 0.7, 0.5, 0.3, True),
        ("loss.l2_generator_scale", 1e-4, 1.0, "log_uniform", 0.8, False),
        ("loss.l2_controller_scale", 1e-4, 1.0, "log_uniform", 0.8, False),
        ("loss.kl_initial_condition_scale", 1e-6, 1e-3, "log_uniform", 0.8, False),
        ("loss.kl_input_scale", 1e-6, 1e-4, "log_uniform", 0.8, False),
    )
}
# What the score wants, and how much a factor of e away from it costs.
OPTIMUM = {
    "training.learning_rate": (2e-3, 0.010),
    "augmentation.dropout_rate": (0.05, 0.004),
    "augmentation.coordinated_dropout_rate": (0.3, 0.002),
    "loss.kl_initial_condition_scale": (3e-5, 0.003),
    "loss.kl_input_scale": (3e-7, 0.004),
}


@dataclass(frozen=True)
class SimulatedSearch:
    """What a search leaves in its folder."""

    history: list[Row]
    metrics: list[Row]
    run: Row
    settings: Row
    space: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Member:
    id: int
    founder: int
    parent: int
    values: dict[str, float]
    level: float = 0.0
    best: tuple[float, int] | None = None  # score and epoch
    before: float = 0.6  # score at the start of the generation


class Simulation:
    """One search, generation by generation; `rows` and `metrics` grow."""

    def __init__(
        self, rng: np.random.Generator, *, names: list[str], ramp_end: int, freeze_rate: float
    ) -> None:
        self.rng, self.names = rng, names
        self.ramp_end, self.freeze_rate = ramp_end, freeze_rate
        self.rows: list[Row] = []
        self.metrics: list[Row] = []
        self.epoch = 0
        self.best: Row | None = None
        self.member_epochs = 0

    def first(self, id: int) -> Member:
        return Member(id, id, id, {name: self.draw(SPACE[name]) for name in self.names})

    def draw(self, dimension: Row) -> float:
        low, high, first = (dimension[key] for key in ("low", "high", "first"))
        if first == "uniform":
            return float(self.rng.uniform(low, high))
        if first == "log_uniform":
            return math.exp(self.rng.uniform(math.log(low), math.log(high)))
        return float(first)

    def generation(self, number: int, members: list[Member], n_epochs: int) -> list[Row]:
        """Train and score; the rows of this generation, whose outcome is not yet known."""
        first, last = self.epoch, self.epoch + n_epochs - 1
        self.epoch += n_epochs
        self.member_epochs += n_epochs * len(members)
        rows = [self.row(number, member, first, last) for member in members]
        self.write_epochs(rows, members)
        self.rows += rows
        return rows

    def score(self, member: Member, n_epochs: int) -> float | None:
        if self.rng.uniform() < self.freeze_rate:
            return None
        member.level += n_epochs * member.values.get("training.learning_rate", 4e-3) / 4e-3
        score = 0.105 + 0.2 * math.exp(-member.level / 60) + 0.4 * math.exp(-member.level / 8)
        score += sum(
            cost * abs(math.log(max(member.values[name], 1e-3 * best) / best)) ** 1.5
            for name, (best, cost) in OPTIMUM.items()
            if name in member.values
        )
        return score + self.rng.normal(0, 8e-4)

    def note_best(self, member: Member, number: int, score: float, epoch: int) -> None:
        if member.best is None or score < member.best[0]:
            member.best = (score, epoch)
        if self.best is None or score < self.best["score"]:
            self.best = {"member": member.founder, "epoch": epoch, "generation": number,
                         "slot": member.id, "score": score}  # fmt: skip

    def row(self, number: int, member: Member, first: int, last: int) -> Row:
        score = self.score(member, last - first + 1)
        if score is not None and last >= self.ramp_end:
            back = int(self.rng.integers(0, min(5, last - first + 1)))
            self.note_best(member, number, score, last - back)
        terms = {
            name: None if score is None else float(value * self.rng.uniform(0.9, 1.1))
            for name, value in (("kl_initial_condition", 40.0), ("kl_inputs", 12.0), ("l2", 0.02),
                                ("loss", 1500.0), ("gradient_norm", 90.0))
        }  # fmt: skip
        return {
            "generation": number, "member": member.id, "parent": member.parent,
            "founder": member.founder, "first_epoch": first, "last_epoch": last, "score": score,
            "valid_reconstruction": score, "reconstruction": score and score - 0.01,
            **terms, "best_score": member.best and member.best[0],
            "best_epoch": member.best and member.best[1], "is_frozen": int(score is None),
            "broke": ("gradient_norm", "loss")[member.id % 2] if score is None else "",
            "outcome": "kept", **member.values,
        }  # fmt: skip

    def write_epochs(self, rows: list[Row], members: list[Member]) -> None:
        first, last = rows[0]["first_epoch"], rows[0]["last_epoch"]
        ids = [member.id for member in members]
        for epoch in range(first, last + 1):
            share = (epoch - first + 1) / (last - first + 1)
            score = [
                None if row["score"] is None else m.before + share * (row["score"] - m.before)
                for row, m in zip(rows, members, strict=True)
            ]
            ramp = [min(1.0, (epoch + 1) / (self.ramp_end + 1))] * len(rows)
            line: Row = {"epoch": epoch, "step": 3 * epoch + 2, "seconds": 2.5}
            if ids != list(range(len(ids))):
                line["members"] = ids
            terms = ("kl_initial_condition", "kl_inputs", "l2", "loss", "gradient_norm")
            self.metrics.append(
                {**line, "reconstruction": [each and each - 0.01 for each in score],
                 "valid_reconstruction": score, "valid_score": score,
                 "learning_rate": [row.get("training.learning_rate", 4e-3) for row in rows],
                 "ramp_kl": ramp, "ramp_l2": ramp,
                 **{name: [row[name] for row in rows] for name in terms}}
            )  # fmt: skip
        for row, member in zip(rows, members, strict=True):
            member.before = row["score"] or member.before

    def drop(self, rows: list[Row], members: list[Member], n_kept: int) -> list[Member]:
        order = sorted(range(len(rows)), key=lambda i: rows[i]["score"] or math.inf)
        kept = sorted(order[:n_kept])
        for i in set(order) - set(kept):
            rows[i]["outcome"] = "dropped"
        return [members[i] for i in kept]

    def tournament(self, rows: list[Row], members: list[Member]) -> list[Member]:
        order = self.rng.permutation(len(members))
        after = list(members)
        for a, b in zip(order[::2], order[1::2], strict=False):
            won, lost = sorted((a, b), key=lambda i: rows[i]["score"] or math.inf)
            rows[lost]["outcome"] = "replaced"
            donor = members[won]
            after[lost] = Member(members[lost].id, donor.founder, donor.id,
                                 self.perturb(donor.values), donor.level, donor.best,
                                 donor.before)  # fmt: skip
        for i, member in enumerate(after):
            if rows[i]["outcome"] == "kept":
                member.parent = member.id
        return after

    def wander(self, rows: list[Row], members: list[Member]) -> list[Member]:
        for row, member in zip(rows, members, strict=True):
            row["outcome"] = "perturbed"
            member.values = self.perturb(member.values)
        return members

    def perturb(self, values: dict[str, float]) -> dict[str, float]:
        changed = {}
        for name, value in values.items():
            dimension = SPACE[name]
            new = value
            for _ in range(99):
                step = self.rng.uniform(math.log1p(0.002 * dimension["weight"]),
                                        math.log1p(dimension["weight"]))  # fmt: skip
                new = value * math.exp(step * self.rng.choice((-1, 1)))
                if not dimension["keeps_limits"] or dimension["low"] <= new <= dimension["high"]:
                    break
            changed[name] = float(new)
        return changed


def simulated_search(
    n_members: int = 20,
    n_generations: int = 50,
    *,
    method: str = "population",
    halving_rounds: int = 0,
    freeze_rate: float = 0.01,
    has_space: bool = True,
    n_searched: int = len(SPACE),
    seed: int = 0,
) -> SimulatedSearch:
    """A finished search; its ramps end within the first generation."""
    names = list(SPACE)[:n_searched]
    simulation = Simulation(
        np.random.default_rng(seed),
        names=names,
        ramp_end=10 * halving_rounds + 20,
        freeze_rate=freeze_rate,
    )
    n_first = n_members * 4 if halving_rounds else n_members
    members = [simulation.first(id) for id in range(n_first)]
    for halving in range(halving_rounds):
        rows = simulation.generation(halving - halving_rounds, members, 10)
        n_kept = round(n_first / 4 ** ((halving + 1) / halving_rounds))
        members = simulation.drop(rows, members, n_kept)
    for number in range(n_generations):
        rows = simulation.generation(number, members, 25 if number == 0 else 10)
        if number == n_generations - 1:
            for row in rows:
                row["outcome"] = "last"
        elif method == "population":
            members = simulation.tournament(rows, members)
        elif method == "explore_only":
            members = simulation.wander(rows, members)
    search = {
        "method": method, "generations": n_generations, "best": simulation.best,
        "stop_reason": f"the limit of {n_generations} generations was reached",
        "member_epochs": simulation.member_epochs, "n_validation_passes": simulation.member_epochs,
    }  # fmt: skip
    start = "halving" if halving_rounds else "all"
    return SimulatedSearch(
        history=simulation.rows,
        metrics=simulation.metrics,
        run={"status": "finished", "n_members": n_members, "search": search},
        settings={"search": {"method": method, "population": n_members, "start": start,
                             "generations": n_generations, "generation_epochs": 10}},
        space={name: SPACE[name] for name in names if has_space},
    )  # fmt: skip
