"""Options of a command that trains: where the run goes, and what computes it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments
from lfads_torch.cli.streams import say
from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lfads_torch.config.tree import Settings
    from lfads_torch.workflows.fit_file import FitRequest
    from lfads_torch.workflows.warm_start import WarmStart

__all__ = [
    "KernelsArgument",
    "QuietArgument",
    "RunArguments",
    "TensorboardArgument",
    "TrainingArguments",
]

_RUN = Group("The run", sort_key=5)

KernelsArgument = Annotated[
    Literal["auto", "reference", "portable", "compiled", "triton", "triton-tf32", "triton-bf16"],
    Parameter(help="how recurrences are computed; triton: on a GPU, in the named precision"),
]
TensorboardArgument = Annotated[bool, Parameter(help="also write scalars to RUN/tensorboard")]
QuietArgument = Annotated[bool, Parameter(help="say nothing but errors and where the results are")]


@Parameter(name="*", group=_RUN)
@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """The same for a fit and for a search."""

    out: Annotated[
        Path | None,
        Parameter(help="folder of the run; without it, one beside FILE, named after it"),
    ] = None
    session_names: Annotated[
        str, Parameter(help="names of the sessions, one for each recording: monday,tuesday")
    ] = ""
    overwrite: Annotated[bool, Parameter(help="replace the run that the folder holds")] = False
    resume_if_exists: Annotated[
        bool, Parameter(help="go on with the run that the folder holds, if any")
    ] = False
    seed: Annotated[int | None, Parameter(help="seed of everything random but the split")] = None
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, Parameter(help="where to compute")] = (
        None
    )
    precision: Annotated[
        Literal["auto", "float32", "float64", "bf16"] | None,
        Parameter(help="type of all numbers; bf16: of the operands of products; auto: float32"),
    ] = None
    threads: Annotated[int | None, Parameter(help="threads of the processor; 0: all")] = None
    memory: Annotated[
        float | None, Parameter(help="GB that training may take; 0: 60 % of what is free")
    ] = None
    kernels: KernelsArgument = "auto"
    start_from: Annotated[
        Path | None,
        Parameter(
            name="--from", help="trained run whose weights to start from, where shapes agree"
        ),
    ] = None
    from_member: Annotated[
        int | None, Parameter(help="which member of that run; without it, its best")
    ] = None
    from_state: Annotated[
        Literal["best", "last"], Parameter(help="weights of its best epoch, or of its last one")
    ] = "best"
    from_parts: Annotated[
        str, Parameter(help="parts to take, named as in training.train; without it, all")
    ] = ""
    tensorboard: TensorboardArgument = False
    quiet: QuietArgument = False

    def settings(self) -> dict[str, tuple[str, object]]:
        """Dotted name -> option and value."""
        return {
            "run.seed": ("--seed", self.seed),
            "run.device": ("--device", self.device),
            "run.precision": ("--precision", self.precision),
            "run.threads": ("--threads", self.threads),
            "run.memory_gb": ("--memory", self.memory),
        }

    def warm_start(self) -> WarmStart | None:
        """What `--from` and the options beside it ask for."""
        from lfads_torch.workflows.warm_start import WarmStart

        if self.start_from is None:
            if self.from_member is not None or self.from_parts or self.from_state != "best":
                raise SettingsError(
                    "--from-member, --from-state and --from-parts say what to take of a trained "
                    "run; name it with --from RUN."
                )
            return None
        words = (word.strip() for word in self.from_parts.split(","))
        return WarmStart(
            run=self.start_from,
            member=self.from_member,
            state=self.from_state,
            parts=tuple(word for word in words if word),
        )

    def names(self) -> tuple[str, ...]:
        """Of the sessions; empty where they have their own."""
        return tuple(each.strip() for each in self.session_names.split(",") if each.strip())

    def folder(self, file: Path, ending: str) -> Path:
        """Where the run goes; said where it was not asked for."""
        if self.out is not None:
            return self.out
        folder = file.parent / f"{file.stem}{ending}"
        if not self.quiet:
            say(f"no --out: the run goes to {folder}")
        return folder


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """All options that a fit and a search share."""

    run: RunArguments
    settings: SettingArguments
    split: SplitArguments
    reader: ReaderArguments

    def read_settings(self, options: dict[str, tuple[str, object]]) -> Settings:
        """The checked settings; `options` are those of the one command."""
        return self.settings.read({**self.run.settings(), **options, **self.split.settings()})

    def request(self, files: Sequence[Path], folder: Path, settings: Settings) -> FitRequest:
        from lfads_torch.workflows.fit_file import FitRequest

        return FitRequest(
            source=files[0],
            more_sources=tuple(files[1:]),
            session_names=self.run.names(),
            folder=folder,
            settings=settings,
            read_options=self.reader.read_options(),
            split=self.split.choice(is_set=self.settings.names_a_split),
            kernels=self.run.kernels,
            overwrite=self.run.overwrite,
            resume_if_exists=self.run.resume_if_exists,
            command=tuple(sys.argv),
            start_from=self.run.warm_start(),
        )
