"""One loader for readers, figures, observation families and rules: what it finds, what it says."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from importlib import metadata
from importlib.metadata import EntryPoint

import pytest

from lfads_torch.errors import FormatError, SettingsError
from lfads_torch.plugins import load_plugin, plugin_names, plugin_places

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
