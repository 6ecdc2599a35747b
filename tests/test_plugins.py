"""One loader for readers, figures, observation families and rules: what it finds, what it says."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from importlib import metadata
from importlib.metadata import EntryPoint

import pytest

from lfads_torch.cli.app import run
from lfads_torch.cli.plugin_path import importable, plugin_folders
from lfads_torch.config.read import read_settings
from lfads_torch.errors import FormatError, SettingsError
from lfads_torch.plugins import load_plugin, plugin_names, plugin_places, unnamed_file

GROUP = "lfads_torch.rules"
CODE = """
from collections import OrderedDict
from plugin_bases import Rule

class Whole(Rule):
    def choose(self): return 1

class Half(Rule):
    pass

class Stranger:
    def choose(self): return 1

instance = Whole()
"""


class Rule(ABC):
    """What plug-ins of this test derive from."""

    @abstractmethod
    def choose(self) -> int: ...


@pytest.fixture
def package(tmp_path, monkeypatch) -> None:
    """Modules outside the package, one of them broken, and their entry points."""
    (tmp_path / "plugin_rules.py").write_text(CODE)
    (tmp_path / "plugin_broken.py").write_text("class Whole(:\n")
    (tmp_path / "plugin_needy.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.setitem(sys.modules, "plugin_bases", sys.modules[__name__])
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("zebra", "plugin_rules:Whole", GROUP),
        EntryPoint("ant", "plugin_rules:Half", GROUP),
        EntryPoint("own", "plugin_rules:Stranger", GROUP),
        EntryPoint("other", "plugin_rules:Whole", "somebody.else"),
    ]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [each for each in points if each.group == group]
    )
    yield
    for name in ("plugin_rules", "plugin_broken", "plugin_needy"):
        sys.modules.pop(name, None)


def load(where: str, **given) -> type[Rule]:
    return load_plugin(where, Rule, what="search.rule", entry_points=GROUP, **given)


def test_a_class_is_found_by_place_by_our_name_and_by_entry_point(package):
    found = {
        load("plugin_rules:Whole"),
        load("own", ours={"own": "plugin_rules:Whole"}),  # ours, whoever else takes the name
        load("zebra"),
    }
    assert [(each.__name__, each().choose()) for each in found] == [("Whole", 1)]


def test_names_are_ours_first_then_those_of_packages_in_order(package):
    assert plugin_names({"own": "a:B", "b": "a:B"}, GROUP) == ["own", "b", "ant", "zebra"]
    assert plugin_names({"own": "a:B"}) == ["own"]
    assert plugin_places(GROUP) == {
        "ant": "plugin_rules:Half",
        "own": "plugin_rules:Stranger",
        "zebra": "plugin_rules:Whole",
    }


def test_nothing_is_imported_by_asking_for_names(package):
    plugin_names({"broken": "plugin_broken:Whole"}, GROUP)
    assert "plugin_rules" not in sys.modules


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "zebrra",
            r"^search.rule: there is no 'zebrra'. Did you mean 'zebra'\? Known are ant, own,",
        ),
        ("other", r"there is no 'other'.* \"package.module:Class\"\.$"),
        ("", "there is no ''"),
        ("no_such_package:Rule", "'no_such_package:Rule' could not be loaded: No module named"),
        ("plugin_rules:Absent", "could not be loaded: .*Absent"),
        ("plugin_rules:", "could not be loaded"),
        (":Whole", "could not be loaded"),
        (".plugin_rules:Whole", "could not be loaded"),
        ("plugin_broken:Whole", "could not be loaded: .*plugin_broken.py"),
        ("plugin_needy:Whole", "could not be loaded: .*a_package_that_nobody_has"),
        ("own", r"'own' \(plugin_rules:Stranger\) is of another kind; derive .*\.Rule\.$"),
        ("plugin_rules:instance", "is of another kind"),
        ("plugin_rules:Half", "'plugin_rules:Half' is incomplete; write its choose"),
    ],
)
def test_each_mistake_has_its_message(package, where, message):
    with pytest.raises(SettingsError, match=message):
        load(where)


def test_the_error_is_of_the_class_asked_for(package):
    with pytest.raises(FormatError, match=r"^reader: there is no 'x'. Name a class of your own"):
        load_plugin("x", Rule, what="reader", error=FormatError)


@pytest.fixture
def current_folder(tmp_path, monkeypatch):
    """As `python -m lfads_torch` is started: Python looks in the current folder first."""
    (tmp_path / "lying_here.py").write_text("raise RuntimeError('this must not run')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_a_file_of_the_current_folder_is_found_by_no_name_of_anybodys(current_folder):
    assert unnamed_file("lying_here:Rule") == str(current_folder / "lying_here.py")
    assert unnamed_file("no_such_package:Rule") is None
    assert unnamed_file("lfads_torch.search.select:Tournament") is None
    assert "lying_here" not in sys.modules


def test_a_folder_that_is_named_may_be_the_current_one(current_folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(current_folder)])
    assert unnamed_file("lying_here:Rule") is None


def test_settings_of_a_file_do_not_run_what_lies_in_the_current_folder(current_folder):
    path = current_folder / "settings.yaml"
    path.write_text("search:\n  selection: lying_here:Rule\n")
    with pytest.raises(SettingsError, match=r"line 2\) is 'lying_here:Rule', found only as .*add"):
        read_settings(path)
    with pytest.raises(SettingsError, match="RuntimeError: this must not run"):
        read_settings(overrides=("search.selection=lying_here:Rule",))


def test_folders_of_plug_ins_are_importable_while_a_command_runs(tmp_path):
    before = list(sys.path)
    words, folders = plugin_folders(
        ["fit", "a.h5", "--plugin-path", str(tmp_path), "--plugin-path=b"]
    )
    assert (words, folders) == (["fit", "a.h5"], [str(tmp_path), "b"])
    with importable(folders[:1]):
        assert sys.path == [*before, str(tmp_path)]
    assert sys.path == before


def test_a_folder_that_is_not_there_is_told(capsys, tmp_path):
    assert run(["status", str(tmp_path), "--plugin-path", str(tmp_path / "absent")]) == 2
    assert "absent: there is no such folder" in capsys.readouterr().err
