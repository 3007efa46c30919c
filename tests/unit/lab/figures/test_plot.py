"""An environment without matplotlib, as `make lab` makes it: nothing is measured that could not be drawn."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabFailed
from lab.figures.plot import require_matplotlib
from lab.soak.run import run_soak
from runtime.errors import CommandError
from sennit.commands.lab import lab

MISSING = "matplotlib is not installed: `make install`"


def test_figures_and_soak_say_at_once_that_matplotlib_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    require_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CommandError, match=MISSING):
        lab.run(["figures"])
    untouched: Any = None
    with pytest.raises(LabFailed, match=MISSING):
        run_soak(untouched, 1.0, picture=Path("soak.png"))
