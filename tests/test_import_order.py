"""Imports go one way along the pipeline; nothing looks back."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "lfads_torch"

# Lowest first. A module may import its own layer and those below it.
LAYERS = (
    (
        "errors",
        "counted",
        "declare",
        "declared",
        "atomic",
        "plugins",
        "plugin_fault",
        "plugin_returns",
    ),
    ("kernels",),
    ("data",),
    ("model",),
    ("loss",),
    ("training",),
    ("search",),
    ("outputs",),
    ("analysis",),
    ("config",),
    ("workflows",),
    ("testing",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# These two stand above all layers: the package's lazy exports, and `python -m lfads_torch`.
TOP = {"__init__.py", "__main__.py"}


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if path.relative_to(root).name not in TOP)


def imported_names(source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of every import, wherever it stands: in functions and for types too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `from lfads_torch import data` imports a layer just as `import lfads_torch.data`.
            names = [alias.name for alias in node.names] if base == "lfads_torch" else [""]
            found += [(node.lineno, f"{base}.{name}".rstrip(".") or base) for name in names]
    return found


def layer_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0].removesuffix(".py")


def wrong_imports(path: Path, root: Path) -> list[str]:
    own = layer_of(path, root)
    wrong = []
    for line, name in imported_names(path.read_text(encoding="utf-8")):
        where = f"{path.relative_to(root)}:{line}"
        if name.startswith("."):
            wrong.append(f"{where}: relative import {name}; write it in full")
        elif name.split(".")[0] == "lfads_torch":
            layer = name.removeprefix("lfads_torch").removeprefix(".").split(".")[0]
            if layer == "__version__":
                continue  # a constant of the package, which has no layer
            if layer not in LEVEL:
                wrong.append(f"{where}: imports {name}, which belongs to no layer")
            elif LEVEL[layer] > LEVEL[own]:
                wrong.append(f"{where}: {own} imports {name}, which comes after it")
    return wrong


def test_every_module_belongs_to_a_layer() -> None:
    strangers = [str(p) for p in modules(PACKAGE) if layer_of(p, PACKAGE) not in LEVEL]
    assert strangers == []


def test_imports_go_one_way() -> None:
    paths = [path for path in modules(PACKAGE) if layer_of(path, PACKAGE) in LEVEL]
    assert len(paths) > 10
    assert [line for path in paths for line in wrong_imports(path, PACKAGE)] == []


def test_settings_need_only_the_standard_library() -> None:
    paths = sorted(PACKAGE.rglob("settings.py"))
    assert paths
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}: imports {name}"
        for path in paths
        for line, name in imported_names(path.read_text(encoding="utf-8"))
        if name != "lfads_torch.declare"
        and not name.endswith(".settings")
        and name.split(".")[0] not in sys.stdlib_module_names
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("import lfads_torch.cli.app", "comes after it"),
        ("from lfads_torch.loss.objective import objective", "comes after it"),
        ("from lfads_torch import analysis", "comes after it"),
        ("def f():\n    from lfads_torch.outputs import files", "comes after it"),
        ("from . import lfads", "relative import"),
        ("from ..loss import objective", "relative import"),
        ("import lfads_torch.nowhere", "belongs to no layer"),
        ("from lfads_torch import LFADS", "belongs to no layer"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, line: str, complaint: str) -> None:
    module = tmp_path / "model" / "lfads.py"
    module.parent.mkdir()
    module.write_text(f"import torch\nfrom lfads_torch.kernels import choose\n{line}\n")
    complaints = wrong_imports(module, tmp_path)
    assert len(complaints) == 1
    assert complaint in complaints[0]
