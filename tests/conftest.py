"""With `--check-shapes` (as in `make test`) shapes in the tensor code's annotations are checked.

The package imports jaxtyping for type checkers alone (`if TYPE_CHECKING:`), so its annotations
have no meaning at run time. Here the tensor packages are loaded with `typing.TYPE_CHECKING` true,
which makes those names real, and jaxtyping's import hook wraps every function and dataclass.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from unittest.mock import patch

import pytest
from jaxtyping import install_import_hook

CHECKED = [f"lfads_torch.{name}" for name in ("kernels", "model", "loss", "training")]


class TypesAreRealLoader(Loader):
    """Runs a module with `typing.TYPE_CHECKING` true, by the loader it had before."""

    def __init__(self, inner: Loader) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Other libraries must be loaded before: their own type-only imports may not exist here.
        import beartype.door  # noqa: F401
        import jaxtyping  # noqa: F401
        import numpy as np  # noqa: F401
        import torch  # noqa: F401

        with patch("typing.TYPE_CHECKING", True):
            self.inner.exec_module(module)


class TypesAreRealFinder(MetaPathFinder):
    """Asks jaxtyping's finder and wraps the loader that it gives."""

    def __init__(self, inner: MetaPathFinder) -> None:
        self.inner = inner

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = self.inner.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = TypesAreRealLoader(spec.loader)
        return spec


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--check-shapes",
        action="store_true",
        help="check the shapes in annotations of kernels, model, loss and training",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--check-shapes"):
        install_import_hook(CHECKED, "beartype.beartype")
        # install_import_hook has put its finder first; ours takes that place, around it.
        sys.meta_path.insert(0, TypesAreRealFinder(sys.meta_path.pop(0)))
