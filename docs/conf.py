"""How the documentation is built; warnings are errors (see the Makefile)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lfads_torch import __version__

project = "lfads-torch"
author = "the lfads-torch developers"
copyright = "2026, the lfads-torch developers"
version = release = __version__

extensions = ["myst_nb", "settings_reference"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"lfads-torch {__version__}"
