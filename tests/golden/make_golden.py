"""Writes the stored numbers of this folder. Run it only when they are meant to change.

    PYTHONPATH=src:tests/support python tests/golden/make_golden.py

`streams.json`: a short vector of every function of `training/streams.py`.
`loss_curve.json`: loss, score and gradient norm of a tiny system over six epochs, in float64 with
the reference kernels. Machines agree up to the order in which sums are taken and the last bits of
exp and tanh; training amplifies that, so that the test allows 1e-7 (relative). `arithmetic` is the
number in `training/arithmetic.py` that goes with them: other curves are not written until it is
raised, for a run begun before must not be resumed as if nothing had changed.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from golden_curve import loss_curve, require_raised

from lfads_torch.training.streams import Streams, site_key

HERE = Path(__file__).parent


def stream_numbers() -> dict[str, object]:
    seed, rows, rate = 2_000_000_011, [[0, 5], [70_000, 1]], [0.3, 0.05]
    s, numbers = Streams(seed, torch.tensor([0, 3])), torch.tensor(rows)
    rates = torch.tensor(rate, dtype=torch.float64)
    return {
        "seed": seed,
        "rows": rows,
        "rate": rate,
        "site_key": site_key("golden"),
        "bits": s.bits("golden", 6, numbers, 5).tolist(),
        "normal": s.normal("golden", 6, numbers, 5).tolist(),
        "keep": s.keep("golden", 6, numbers, 9, rates).long().tolist(),
        "order": s.order("golden", 6, 9).tolist(),
    }


def main() -> None:
    stored = HERE / "loss_curve.json"
    require_raised(json.loads(stored.read_text(encoding="utf-8")), loss_curve())
    for name, content in (("streams", stream_numbers()), ("loss_curve", loss_curve())):
        (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
