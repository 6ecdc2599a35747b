"""The command `lfads`: its commands by name, each in a file that is loaded when it is asked for."""

from __future__ import annotations

import keyword
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from lfads_torch import __version__
from lfads_torch.cli.outcome import exit_code_of
from lfads_torch.cli.plugin_path import importable, plugin_folders
from lfads_torch.cli.streams import replace_unknown_characters
from lfads_torch.cli.usage import usage_message

__all__ = ["COMMANDS", "build_app", "main", "run"]

COMMANDS = {
    "demo": "Fit a synthetic recording whose truth is known and write the page.",
    "synth": "Make a synthetic recording with known rates and latents.",
    "prepare": "Cut a session of spike times or counts into trials of binned counts.",
    "split": "Divide trials and units into sets, as a file of its own.",
    "check": "Say what is wrong or unusual in a recording, before any training.",
    "fit": "Train on a recording; write rates, scores and a page.",
    "search": "Tune a population on a recording (AutoLFADS); write the best model's results.",
    "add-session": "Add a recording of other units to a trained model, which stays as it is.",
    "leave-one-out": "Leave each session out of its model in turn, add it, and score it.",
    "resume": "Go on with a run that was stopped.",
    "status": "Say how a run stands.",
    "infer": "Apply a trained run to a recording: rates, factors, inferred inputs.",
    "merge": "Merge the rates of a session's chops to rates of the whole session.",
    "evaluate": "Give every score of a run, with intervals.",
    "plot": "Draw one figure of a run.",
    "compare": "Compare runs on the same trials and units.",
    "refit": "Train a run's chosen settings on all its trials.",
    "export": "Write a rates file as .mat, .npz or .csv.",
    "import": "Take over a checkpoint, configuration or data file of lfads-torch.",
    "inspect": "Say what any file or run folder of ours contains.",
    "report": "Write a run's page anew.",
}
_EPILOGUE = (
    "Each command has its own help: lfads fit --help. "
    "With --plugin-path FOLDER every command finds plug-ins (package.module:Class) in files of "
    "yours there. With --debug, or LFADS_DEBUG=1, an error shows its traceback."
)


def build_app() -> App:
    """The commands, none of them loaded yet."""
    app = App(
        name="lfads",
        help="Single-trial rates, factors and inferred inputs from binned spikes.",
        help_format="plaintext",
        help_epilogue=_EPILOGUE,
        version=__version__,
        version_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=_default_text),
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for position, (name, help_text) in enumerate(COMMANDS.items()):
        # `import` is a word of Python's own, and no name of its has a hyphen.
        called = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        place = f"lfads_torch.cli.{called}:{called}"
        app.command(place, name=name, help=help_text, sort_key=position)
    return app


def _default_text(value: object) -> str | None:
    """What help says of a default; nothing where it only means that the option was not given."""
    return None if value is None or value is False or value in ((), "") else str(value)


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code: 0 done, 1 error, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM."""
    without = [each for each in arguments if each != "--debug"]
    is_debugging = len(without) < len(arguments) or bool(os.environ.get("LFADS_DEBUG"))
    tokens, folders = plugin_folders(without)
    if missing := [folder for folder in folders if not os.path.isdir(folder)]:
        print(f"error: --plugin-path {missing[0]}: there is no such folder", file=sys.stderr)
        return 2

    def call() -> int:
        try:
            return build_app()(tokens) or 0
        except CycloptsError as error:
            print(f"error: {usage_message(error, tokens, COMMANDS)}", file=sys.stderr)
            return 2

    with importable(folders):
        return exit_code_of(call, is_debugging=is_debugging)


def main() -> NoReturn:
    """The entry point of the command line."""
    replace_unknown_characters()
    sys.exit(run(sys.argv[1:]))
