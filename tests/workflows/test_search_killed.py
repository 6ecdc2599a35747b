"""kill -9 at random moments of a search: resumed each time, it ends as if nothing had happened."""

from __future__ import annotations

import random
import time

import pytest
from killed_search import Kills, differing, n_epochs, start, wait_for

from lfads_torch.outputs.run_status import status

SEARCH = ("search.population=3", "search.generation_epochs=1", "search.stop_generations=0")


@pytest.mark.parametrize(
    "n_kills",
    [3, pytest.param(20, marks=pytest.mark.slow)],
)
def test_killed_at_random_moments(tmp_path, n_kills):
    overrides = (*SEARCH, f"search.generations={5 * n_kills}")
    folder, chance, kills = tmp_path / "killed" / "run", random.Random(n_kills), Kills()
    while kills.total < n_kills:
        began, before = time.time_ns(), n_epochs(folder)
        process = start(folder, overrides)
        wanted = before + chance.choice((0, 1, 1, 2))
        wait_for(lambda n=wanted: n_epochs(folder) >= n, process)
        time.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -9, (tmp_path / "killed" / "stderr.txt").read_text()
        kills.count(folder, since_ns=began, has_trained=n_epochs(folder) > before)
    finish(start(folder, overrides), tmp_path / "killed")
    finish(start(tmp_path / "whole" / "run", overrides), tmp_path / "whole")
    assert differing(folder, tmp_path / "whole" / "run") == []
    print(f"{n_kills} kills, by what they hit: {kills.hits}")


def finish(process, folder) -> None:
    process.join(timeout=600)
    assert process.exitcode == 0, (folder / "stderr.txt").read_text()
    assert status(folder / "run")["status"] == "finished"
