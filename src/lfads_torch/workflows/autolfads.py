"""AutoLFADS with the conventions of scikit-learn: a population that tunes itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lfads_torch.outputs.run_record import INTERRUPTED
from lfads_torch.workflows.estimator_observation import observation_argument
from lfads_torch.workflows.estimator_settings import arguments_of, settings_from
from lfads_torch.workflows.estimator_shapes import (
    best_of_shapes,
    shapes_beside,
    whole_number_of_shapes,
)
from lfads_torch.workflows.estimator_space import choice_of, listed_values, space_of, values_of
from lfads_torch.workflows.fit import FitOptions
from lfads_torch.workflows.run_estimator import RunEstimator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.config.space import SpaceChoice
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.listener import Listener

__all__ = ["AutoLFADS"]

# Settings that are arguments of their own, by the last part of their names.
_ARGUMENTS = (
    "run.preset", "run.seed", "run.device", "run.threads", "run.precision", "search.population",
    "search.generations", "search.generation_epochs", "search.method",
)  # fmt: skip
_SpaceArgument = Mapping[str, str | Mapping[str, object] | None]


class AutoLFADS(RunEstimator):
    """LFADS with hyperparameters that nobody has to choose.

    A population of models trains together. After every generation members that predict the
    validation trials worse restart as copies of better ones and change what they copied, until
    the best score no longer improves. `transform` and the rest are those of `LFADS`, of the best
    model of the whole history.

    Parameters
    ----------
    bin_width_s, preset, seed, device, threads, precision, run_folder, verbose : as of `LFADS`.
    observation : family of the counts, such as "gamma" (docs/observations.md), or a list with that
        of every unit; None: as the settings or the recording say, else poisson.
    settings : values by dotted name, such as {"model.n_factors": 8, "search.start": "halving"};
        every one is on the page of settings. Searched ones begin where the space says.
    population : members. generations : at most. generation_epochs : epochs of a generation.
    method : population; or, for comparison, explore_only (nobody is copied), random, or list.
    values : of method="list", every member's hyperparameters by dotted name, such as
        [{"training.learning_rate": 1e-3}, {"training.learning_rate": 4e-3}]; all name the same.
    space : over the ranges of AutoLFADS, by dotted name: "LOW..HIGH" (with ",first=...",
        ",weight=..." as for `lfads search --search`), a mapping of the same parts, or None for a
        setting that keeps its value.
    shapes : how many shapes to try, of method="random" alone; `space` then also takes settings that
        change shapes, such as {"model.generator_size": "64..256"}. The members are divided between
        the shapes, each a search of its own, and the best shape's is the one that is kept.

    After `fit`
    -----------
    Those of `LFADS`; and history_ : column -> one entry per generation and member.
    best_hyperparameters_ : what was searched -> its value in the best model.
    shapes_ : with `shapes`, every shape (settings, members, score, rank, status, reason, folder),
        best first; else ().

    Example: `AutoLFADS(population=8).fit(counts, bin_width_s=0.005).transform(counts)`.
    """

    is_search = True

    # Many arguments, for scikit-learn's get_params and clone know of nothing else; they are only
    # stored here and travel on as records.
    def __init__(
        self,
        *,
        bin_width_s: float | None = None,
        preset: str = "auto",
        observation: str | Sequence[str] | None = None,
        settings: Mapping[str, object] | None = None,
        population: int = 20,
        generations: int = 50,
        generation_epochs: int = 25,
        method: str = "population",
        values: Sequence[Mapping[str, float]] | None = None,
        space: _SpaceArgument | None = None,
        shapes: int | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int = 0,
        precision: str = "auto",
        run_folder: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self.bin_width_s = bin_width_s
        self.preset = preset
        self.observation = observation
        self.settings = settings
        self.population = population
        self.generations = generations
        self.generation_epochs = generation_epochs
        self.method = method
        self.values = values
        self.space = space
        self.shapes = shapes
        self.seed = seed
        self.device = device
        self.threads = threads
        self.precision = precision
        self.run_folder = run_folder
        self.verbose = verbose

    @property
    def history_(self) -> dict[str, NDArray[Any]]:  # whole numbers, numbers or texts
        """The columns of `history.csv` (docs/formats.md), NaN where a number is missing.

        A table of them is `pandas.DataFrame(model.history_)`.
        """
        from lfads_torch.outputs.history_file import read_history

        check_is_fitted(self)
        rows = read_history(self._run.history_path)
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: _column([row.get(name) for row in rows]) for name in names}

    @property
    def best_hyperparameters_(self) -> dict[str, float]:
        """Of the best model, by dotted name; weights of divergences as they enter the loss."""
        from lfads_torch.outputs.history_file import read_history, searched_names
        from lfads_torch.workflows.kept_models import kept_models

        check_is_fitted(self)
        given = self._run.read_record().search.get("values") or [{}]  # of a list: nothing moves
        searched = searched_names([*read_history(self._run.history_path), given[0]])
        best = kept_models(self._run)[0].hyperparameters
        return {name: _shortest(best[name]) for name in searched}

    def _settings(self) -> Settings:
        given = {name: getattr(self, name.rpartition(".")[2]) for name in _ARGUMENTS}
        given |= observation_argument(self.observation)
        return settings_from("AutoLFADS", given, self.settings)

    def _train(
        self,
        recordings: Recording | tuple[Recording, ...],
        settings: Settings,
        folder: Path,
        *,
        options: FitOptions,
        listener: Listener,
    ) -> RunFolder:
        from lfads_torch.workflows.search import search_run

        choice = choice_of(self.space)
        if self.shapes is not None:
            return self._train_shapes(
                recordings, settings, folder, choice=choice, options=options, listener=listener
            )
        values = values_of(self.values, recordings, settings)
        return search_run(
            recordings,
            settings,
            folder,
            choice=choice,
            values=values,
            options=options,
            observer=listener,
        )

    def _train_shapes(
        self,
        recordings: Recording | tuple[Recording, ...],
        settings: Settings,
        folder: Path,
        *,
        choice: SpaceChoice,
        options: FitOptions,
        listener: Listener,
    ) -> RunFolder:
        from lfads_torch.workflows.shapes import ShapesPlan

        plan = ShapesPlan(
            folder=folder,
            settings=settings,
            choice=choice,
            n_shapes=whole_number_of_shapes(self.shapes, self.values),
            overwrite=options.overwrite,
            command=options.command,
        )
        return best_of_shapes(recordings, plan, options=options, listener=listener)

    def _take(self, run: RunFolder) -> None:
        super()._take(run)
        self.shapes_ = shapes_beside(run)

    def _was_stopped(self) -> bool:
        return super()._was_stopped() or INTERRUPTED in [shape.status for shape in self.shapes_]

    @classmethod
    def _arguments_of(cls, run: RunFolder) -> dict[str, Any]:  # arguments of several types
        from lfads_torch.workflows.stored import read_settings_of

        arguments, values = arguments_of(read_settings_of(run), _ARGUMENTS)
        is_list = arguments["method"] == "list"
        space, members = (None, listed_values(run)) if is_list else (space_of(run), None)
        return {**arguments, "settings": values, "values": members, "space": space}


def _column(values: list[Any]) -> NDArray[Any]:  # of one column: int, float or str, or None
    if any(isinstance(value, str) for value in values):
        return np.array(values, dtype=np.str_)
    return np.array([np.nan if value is None else value for value in values])


def _shortest(value: float) -> float:
    """0.004 for 0.004000000189989805: what is stored in single precision, in its own digits."""
    single = np.float32(value)
    return float(str(single)) if float(single) == value else value
