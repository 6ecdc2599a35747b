"""What the estimators share: fit, transform, infer, score, save and load, as scikit-learn does."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import BEST, SETTINGS, RunFolder
from lfads_torch.outputs.run_record import INTERRUPTED
from lfads_torch.workflows.estimator_input import recording_for_model, with_known_sets
from lfads_torch.workflows.estimator_members import Members, joined_members, members_asked
from lfads_torch.workflows.estimator_observation import with_observation
from lfads_torch.workflows.fit import FitOptions
from lfads_torch.workflows.kept_run import TemporaryFolder, copy_run, pack_run, unpack_run
from lfads_torch.workflows.listener import Listener
from lfads_torch.workflows.model_card import read_card
from lfads_torch.workflows.sessions.estimator_input import (
    by_session,
    counts_of,
    inputs_by_session,
    recordings_for_fit,
    session_folders,
)
from lfads_torch.workflows.sessions.folder import refresh_sessions, session_runs
from lfads_torch.workflows.threads_restored import threads_restored
from lfads_torch.workflows.warm_start import as_warm_start

if TYPE_CHECKING:
    import xarray
    from numpy.typing import ArrayLike, NDArray

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording, Split
    from lfads_torch.workflows.stream import RateStream
    from lfads_torch.workflows.warm_start import WarmStart

__all__ = ["RunEstimator"]

# One recording as counts or a Recording; several as a list or a mapping by name.
Recordings = Any


class RunEstimator(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]  # no types there
    """A run folder behind the methods of scikit-learn. What trains it is the subclass's.

    Subclasses are final, and take `bin_width_s`, `observation`, `run_folder` and `verbose` besides
    their own arguments, which they only store.
    """

    is_search: ClassVar[bool]  # the kind of runs that it makes and loads

    bin_width_s: float | None
    observation: str | Sequence[str] | None
    run_folder: str | os.PathLike[str] | None
    verbose: bool

    @abstractmethod
    def _settings(self) -> Settings:
        """The settings that the arguments give, checked."""

    @abstractmethod
    def _train(
        self,
        recordings: Recording | tuple[Recording, ...],
        settings: Settings,
        folder: Path,
        *,
        options: FitOptions,
        listener: Listener,
    ) -> RunFolder:
        """Train on the recordings and leave the run in the folder."""

    @classmethod
    @abstractmethod
    def _arguments_of(cls, run: RunFolder) -> dict[str, Any]:  # arguments of several types
        """The arguments that would make this run again, but for those named above."""

    def fit(
        self,
        X: Recordings,
        y: object = None,
        *,
        bin_width_s: float | None = None,
        condition: ArrayLike | None = None,
        external_inputs: ArrayLike | None = None,
        trial_inputs: ArrayLike | None = None,
        split: Split | ArrayLike | None = None,
        start_from: str | os.PathLike[str] | WarmStart | None = None,
    ) -> Self:
        """Train on counts X [trial, bin, unit]; y is ignored.

        A list or a mapping by name of several such recordings, whose units may differ, are sessions
        of one model; what stands beside X is then a list or mapping too, and so is what
        `transform` and `infer` give.

        `condition` [trial] stratifies the split, `external_inputs` [trial, bin, input] and
        `trial_inputs` [trial, input], constant over a trial, go where `model.external_inputs_to`
        and `model.trial_inputs_to` say. `split` is a `Split`, or "train", "valid", "test" or
        "unused" for each trial; without it the settings `split.*` divide the trials and hold out
        units and bins.

        Raises DataError or SettingsError before anything slow. Ctrl-C ends the epoch, keeps the
        model as far as it got, and raises KeyboardInterrupt; a second one stops at once.
        """
        width = self.bin_width_s if bin_width_s is None else bin_width_s
        beside = {
            "condition": condition,
            "external_inputs": external_inputs,
            "trial_inputs": trial_inputs,
            "split": split,
        }
        recordings = with_observation(recordings_for_fit(X, width, beside), self.observation)
        settings, name = self._settings(), type(self).__name__
        home, folder = self._place()
        options = FitOptions(
            command=(f"{name}.fit",),
            overwrite=home is None and self._owns(folder),
            start_from=as_warm_start(start_from),
        )
        listener = Listener(is_printing=bool(self.verbose))
        with threads_restored():
            run = self._train(recordings, settings, folder, options=options, listener=listener)
        self._home, self._owned, self._made = home, home is None, folder
        self._take(run)
        self.messages_ = tuple(listener.messages)
        if self._was_stopped():
            raise KeyboardInterrupt(f"{name}.fit was stopped; the model is kept as far as it got")
        return self

    def transform(
        self,
        X: Recordings,
        *,
        external_inputs: ArrayLike | None = None,
        trial_inputs: ArrayLike | None = None,
        members: Members = "best",
    ) -> Any:  # an array; of several sessions a list or a mapping of them
        """Rates [trial, bin, unit] in spikes/s, in the order of X, averaged over the posterior.

        The observation's mean, in the counts' own unit, where a unit counts no spikes. Forward
        bins are included; with `model.ic_bins` the rates begin after those bins. `members="all"`
        puts an axis of members first; otherwise the rates of an ensemble (`inference.ensemble`)
        are the mean over its models. Beyond the end of a trial they are NaN. A trial's
        sampled noise goes by its position in X.
        """
        from lfads_torch.workflows.device import memory_errors
        from lfads_torch.workflows.ensemble import ensemble_averages, load_ensemble
        from lfads_torch.workflows.families import counts_to_rates
        from lfads_torch.workflows.infer import posterior_options, to_ends

        if getattr(self, "sessions_", ()):
            inputs = {"external_inputs": external_inputs, "trial_inputs": trial_inputs}
            found = self._by_session(X, inputs, "transform", members=members)
            return found if isinstance(X, Mapping) else list(found.values())
        recording = self._recording(X, external_inputs, trial_inputs)
        rates = []
        with threads_restored(), memory_errors():
            for member in members_asked(self._run, members):
                models = load_ensemble(self._run, recording, member=member)
                model = models[0]
                trials, options = model.assembly.trials, posterior_options(model)
                chunks = ensemble_averages(models, trials, options)
                factor = counts_to_rates(model, recording.bin_width_s)
                parts = [each.mean_counts.double().cpu().numpy() * factor for each in chunks]
                in_order = np.concatenate(parts)[:, :, model.card.positions(recording)]
                rates.append(to_ends(in_order.astype(np.float32), recording))
        return np.stack(rates) if members == "all" else rates[0]

    def fit_transform(
        self,
        X: Recordings,
        y: object = None,
        **fit_parameters: Any,  # those of `fit`, of several types
    ) -> NDArray[np.float32]:
        """Fit on X, then the rates of X, as `fit(X, ...)` and `transform(X)` give them."""
        rates: NDArray[np.float32] = self.fit(X, y, **fit_parameters).transform(
            X,
            external_inputs=fit_parameters.get("external_inputs"),
            trial_inputs=fit_parameters.get("trial_inputs"),
        )
        return rates

    def infer(
        self,
        X: Recordings,
        *,
        external_inputs: ArrayLike | None = None,
        trial_inputs: ArrayLike | None = None,
        members: Members = "best",
    ) -> Any:  # a Dataset; of several sessions a list or a mapping of them
        """Every signal with named axes, units and ids, as `rates.nc` has them (docs/formats.md).

        `trial_set` is that of the fit where X holds the counts of the fit, else "new".
        `members="all"` adds a first dimension `member`.
        """
        if getattr(self, "sessions_", ()):
            inputs = {"external_inputs": external_inputs, "trial_inputs": trial_inputs}
            found = self._by_session(X, inputs, "infer", members=members)
            return found if isinstance(X, Mapping) else list(found.values())
        recording = self._recording(X, external_inputs, trial_inputs)
        recording = with_known_sets(recording, self._run)
        each = [self._inferred(recording, member) for member in members_asked(self._run, members)]
        return each[0] if members == "best" else joined_members(each)

    def score(
        self,
        X: Recordings,
        y: object = None,
        *,
        external_inputs: ArrayLike | None = None,
        trial_inputs: ArrayLike | None = None,
    ) -> float:
        """Masked bits per spike of X: every encoded entry predicted while hidden; higher is better.

        The null is each unit's mean over these trials. It rewards no copying of the input and
        needs no held-out units, but trials that were trained on flatter it: score others. Where
        the counts are no spikes it is the R2 of the same predictions. y is ignored.
        """
        from lfads_torch.workflows.device import memory_errors
        from lfads_torch.workflows.ensemble import load_ensemble
        from lfads_torch.workflows.masked_score import masked_score

        if getattr(self, "sessions_", ()):
            inputs = {"external_inputs": external_inputs, "trial_inputs": trial_inputs}
            found = self._by_session(X, inputs, "score")
            given = (by_session(X) or {"": X}).values()
            n_trials = [len(counts_of(each)) for each in given]
            return float(np.average(list(found.values()), weights=n_trials))
        recording = self._recording(X, external_inputs, trial_inputs)
        with threads_restored(), memory_errors():
            models = load_ensemble(self._run, recording)
            return masked_score(models, models[0].card.aligned(recording))

    def stream(
        self,
        *,
        n_samples: int | None = None,
        trial: int = 0,
        member: int | None = None,
        session: str | None = None,
    ) -> RateStream:
        """Rates bin by bin while counts come in; the model has to be causal (docs/inputs.md).

        `n_samples` stands for the setting `inference.n_samples`; 0 takes the posterior mean, which
        is fastest. `trial` is the position in X whose sampled noise to use. `member` is the id of
        a model (as `infer(X, members="all").member` lists them), without it the best one;
        `session` names one of several.
        """
        from lfads_torch.workflows.stream import open_stream

        check_is_fitted(self)
        return open_stream(
            self._run, n_samples=n_samples, trial=trial, member=member, session=session
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy the run to a new or empty folder, which `LFADS.load` and `lfads` both read."""
        check_is_fitted(self)
        return copy_run(self._run, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The fitted estimator of a run folder, saved from here or left by `lfads`.

        Nothing in the folder is run as code. It must stay where it is while the estimator is
        used; a new `fit` leaves it alone. Parameters are the settings as the run resolved them.
        """
        run = RunFolder.open(path, needs=(SETTINGS, BEST))
        refresh_sessions(run)
        session_runs(run)[0].require("model.json")
        if bool(run.read_record().search) is not cls.is_search:
            found, other = ("fit", "LFADS") if cls.is_search else ("search", "AutoLFADS")
            raise RunError(f"{run.path}: holds a {found}; load it with {other}.load.")
        estimator = cls(
            bin_width_s=read_card(session_runs(run)[0]).bin_width_s, **cls._arguments_of(run)
        )
        estimator._home, estimator._owned = None, False
        estimator._take(run)
        estimator.messages_ = ()
        return estimator

    @property
    def run_folder_(self) -> Path:
        """The folder of the fitted run; a temporary one unless `run_folder` was given."""
        check_is_fitted(self)
        return self._run.path

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_run")

    def __sklearn_tags__(self) -> Any:  # scikit-learn's Tags, which has no types
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.input_tags.allow_nan, tags.input_tags.positive_only = True, True
        return tags

    def __getstate__(self) -> dict[str, Any]:  # attributes of several types
        """For pickle, joblib and copies: the run travels along as the bytes of its files."""
        state: dict[str, Any] = dict(super().__getstate__())
        run = state.pop("_run", None)
        state.pop("_home", None)
        return state if run is None else state | {"_files": pack_run(run)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes = dict(state)
        files = attributes.pop("_files", None)
        super().__setstate__(attributes)
        if files is not None:
            self._home, self._owned = TemporaryFolder(), False
            self._run = unpack_run(files, self._home.path)

    def _take(self, run: RunFolder) -> None:
        from lfads_torch.config.tree import flatten
        from lfads_torch.workflows.stored import read_settings_of

        refresh_sessions(run)
        cards = [read_card(each) for each in session_runs(run)]
        self._run = run
        self.sessions_ = tuple(run.read_record().sessions)
        self.n_features_in_ = sum(len(card.unit_ids) for card in cards)
        self.bin_width_s_ = cards[0].bin_width_s
        self.settings_ = flatten(read_settings_of(run))

    def _place(self) -> tuple[TemporaryFolder | None, Path]:
        """Where the next run goes, and what keeps that folder if it is a temporary one."""
        if self.run_folder is None:
            home = TemporaryFolder()
            return home, home.path / "run"
        folder = Path(self.run_folder)
        if RunFolder.is_run(folder) and (folder / BEST).exists() and not self._owns(folder):
            raise RunError(
                f"{folder}: holds a run already. Give another run_folder, or "
                f"{type(self).__name__}.load it."
            )
        return None, folder

    def _owns(self, folder: Path) -> bool:
        """Whether an earlier fit of this very object made the folder, so that it may replace it."""
        return getattr(self, "_owned", False) and os.path.realpath(self._made) == os.path.realpath(
            folder
        )

    def _was_stopped(self) -> bool:
        """Whether a signal ended the training that has just been made."""
        return self._run.read_record().status == INTERRUPTED

    def _recording(
        self,
        X: ArrayLike | Recording,
        external_inputs: ArrayLike | None,
        trial_inputs: ArrayLike | None,
    ) -> Recording:
        """X as a recording that this model can take, units in the order of X."""
        check_is_fitted(self)
        card = read_card(self._run)
        recording = recording_for_model(
            X, card, external_inputs=external_inputs, trial_inputs=trial_inputs
        )
        card.aligned(recording)  # raises where it does not fit
        return recording

    def _by_session(
        self, X: Recordings, inputs: Mapping[str, Any], method: str, **options: Any
    ) -> dict[str, Any]:  # arrays, data sets or numbers by the name of the session
        """What the method gives for each session of X."""
        check_is_fitted(self)
        folders = dict(zip(self.sessions_, session_runs(self._run), strict=True))
        chosen = session_folders(X, folders)
        beside = inputs_by_session(inputs, list(chosen))
        return {
            name: getattr(self._of(run), method)(counts, **beside[name], **options)
            for name, (run, counts) in chosen.items()
        }

    def _of(self, run: RunFolder) -> Self:
        """This estimator with the folder of one session for its run."""
        own = object.__new__(type(self))
        own.__dict__.update(self.__dict__, _run=run, sessions_=())
        return own

    def _inferred(self, recording: Recording, member: int | None) -> xarray.Dataset:
        from lfads_torch.outputs.rates_file import open_rates
        from lfads_torch.workflows.infer import infer_to_file

        with tempfile.TemporaryDirectory(prefix="lfads-") as folder, threads_restored():
            path = infer_to_file(
                self._run, recording, Path(folder) / "rates.nc",
                is_new=recording.split is None, member=member,
            )  # fmt: skip
            with open_rates(path) as opened:
                return opened.load()
