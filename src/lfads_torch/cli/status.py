"""`lfads status`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lfads_torch.cli.standing import duration
from lfads_torch.cli.streams import aligned, print_json
from lfads_torch.counted import counted

__all__ = ["status"]


def status(
    run: Annotated[Path, Parameter(help="folder of the run")],
    /,
    *,
    json: Annotated[bool, Parameter(help="as JSON")] = False,
) -> None:
    """Say how a run stands; safe while it trains. Of sessions left out and of shapes: a table."""
    from lfads_torch.cli.joint_folder import joint_record, joint_standing
    from lfads_torch.outputs.run_status import status as status_of

    record = joint_record(run)
    if record is not None:
        if json:
            print_json(record)
        else:
            print(joint_standing(record, run))
        return
    found = status_of(run)
    if json:
        print_json(found)
        return
    print(aligned([row for row in _rows(found) if row[1]]))


def _rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:  # JSON values, None where unknown
    reason = f" ({found['reason']})" if found["reason"] else ""
    process = f"{found['process']} on {found['host']}" if found["process"] else ""
    at_most = f" of at most {found['epochs_at_most']}" if found["epochs_at_most"] else ""
    seconds = found["seconds_per_epoch"]
    error = found["results_error"] or ""
    is_going_on = found["status"] != "finished"
    left = duration(found["seconds_left"]) if is_going_on and found["seconds_left"] else ""
    return [
        ("run", str(found["path"])),
        ("status", f"{found['status']}{reason}"),
        ("process", process),
        ("started", str(found["start"])),
        ("ended", str(found["end"] or "")),
        ("sessions", ", ".join(found["sessions"])),
        ("data", _data(found)),
        ("members", str(found["n_members"])),
        ("epochs", f"{found['n_epochs']}{at_most}"),
        ("training", duration(found["training_seconds"])),
        ("pace", f"{seconds:.2g} s per epoch" if seconds else ""),
        ("time left", f"at most {left}" if left else ""),
        *(_search_rows(found["search"]) if found["search"] else _score_rows(found)),
        ("files", ", ".join(found["files"])),
        ("size", f"{found['n_bytes'] / 2**20:.1f} MiB"),
        ("missing", ", ".join(found["missing"])),
        ("error", f"results were not written: {error}" if error else ""),
        ("next", found["next"] or ""),
    ]


def _data(found: Mapping[str, Any]) -> str:  # JSON values, None where unknown
    if found["sessions"]:
        return f"see {found['path']}/sessions"
    return str(found["data_path"] or "stored in the run")


def _score_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("score", _numbers(found["score"])), ("lowest score", _lowest(found))]


def _search_rows(search: Mapping[str, Any]) -> list[tuple[str, str]]:
    best, rounds = search["best"], search["halving_rounds"]
    at_most = search["generations_at_most"]
    done = f"{search['generations']}" + (f" of at most {at_most}" if at_most else "")
    frozen = [f"member {each} ({term or 'no score'})" for each, term in search["frozen"].items()]
    told = (
        f"{best['score']:.5g} in epoch {best['epoch']}, of member {best['member']} (its line began "
        f"in member {best['founder']})"
    ) if best else ""  # fmt: skip
    return [
        ("search", f"{search['method']} of {counted(search['members'], 'member')}"),
        ("searched", ", ".join(search["searched"])),
        ("generations", done + (f", after {rounds} rounds of halving" if rounds else "")),
        ("best score", told),
        ("frozen", ", ".join(frozen)),
    ]


def _lowest(found: Mapping[str, Any]) -> str:
    pairs = zip(found["lowest_score"], found["lowest_score_epoch"], strict=True)
    return ", ".join(f"{score:.5g} in epoch {epoch}" for score, epoch in pairs if score is not None)


def _numbers(value: Any) -> str:  # a JSON number, null, or a list of them
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"{each:.5g}" for each in values if each is not None)
