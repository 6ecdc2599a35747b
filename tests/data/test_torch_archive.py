"""Files of torch.save as data: tensors come back to the bit, and nothing in them is ever run."""

from __future__ import annotations

import contextlib
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from peer_checkpoint import Called, pickled

from lfads_torch.data.torch_archive.archive import TorchArchive, open_archive
from lfads_torch.data.torch_archive.contents import entries_of, is_known, plain
from lfads_torch.data.torch_archive.pickle_machine import PickleError, read_pickle
from lfads_torch.data.torch_archive.records import Name, PersistentId, Record
from lfads_torch.data.torch_archive.stored_tensor import tensor_of
from lfads_torch.errors import FormatError


def saved(value: object, path: Path) -> TorchArchive:
    torch.save(value, path)
    return open_archive(path)


def zipped(path: Path, content: bytes, **more: bytes) -> Path:
    """A file as torch.save lays it out, around any description."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", content)
        for name, stored in more.items():
            file.writestr(f"archive/data/{name.removeprefix('storage_')}", stored)
    return path


KINDS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_tensors_of_every_kind_come_back_to_the_bit(kind: torch.dtype, tmp_path: Path) -> None:
    value = torch.arange(-3, 30).reshape(3, 11).to(kind)
    archive = saved({"x": value}, tmp_path / "x.pt")
    found = tensor_of(archive.value["x"])
    assert found is not None
    expected = value.float().numpy() if kind == torch.bfloat16 else value.numpy()
    np.testing.assert_array_equal(archive.array(found), expected)


def test_views_keep_their_offsets_and_strides(tmp_path: Path) -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    views = {
        "transposed": base.transpose(0, 2),
        "part": base[1:, 1::2, 3],
        "nothing": base[:0],
        "number": base[2, 3, 4],
        "parameter": torch.nn.Parameter(base[0]),
    }
    archive = saved(OrderedDict(views), tmp_path / "views.pt")
    entries = entries_of(archive.value)
    assert entries is not None
    for name, view in views.items():
        found = tensor_of(entries[name])
        assert found is not None
        np.testing.assert_array_equal(archive.array(found), view.detach().numpy())


def test_big_endian_numbers(tmp_path: Path) -> None:
    torch.save({"x": torch.tensor([1.5, -2.0])}, tmp_path / "little.pt")
    with (
        zipfile.ZipFile(tmp_path / "little.pt") as old,
        zipfile.ZipFile(tmp_path / "big.pt", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            elif name.endswith("data/0"):
                content = struct.pack(">2f", 1.5, -2.0)
            new.writestr(name, content)
    archive = open_archive(tmp_path / "big.pt")
    found = tensor_of(archive.value["x"])
    assert found is not None
    np.testing.assert_array_equal(archive.array(found), [1.5, -2.0])


def test_containers_and_numbers_are_plain_again(tmp_path: Path) -> None:
    value = {
        "numbers": (1, 2.5, True, None, 2**70),
        "numpy": [np.float64(0.25), np.int32(-7), np.bool_(True), np.float32(0.5)],
        "set": {3},
        "ordered": OrderedDict(a=1, b=[{"c": "text"}]),
        "path": Path("a/b.h5"),
        "size": torch.zeros(2, 3).shape,
    }
    assert plain(saved(value, tmp_path / "x.pt").value) == {
        "numbers": [1, 2.5, True, None, 2**70],
        "numpy": [0.25, -7, True, 0.5],
        "set": [3],
        "ordered": {"a": 1, "b": [{"c": "text"}]},
        "path": "a/b.h5",
        "size": [2, 3],
    }


def test_classes_that_are_not_installed_become_records(tmp_path: Path) -> None:
    module = types.ModuleType("a_lab_models")

    class Gadget:
        def __init__(self) -> None:
            self.rate, self.inner = 0.3, OrderedDict(w=torch.ones(2))

    Gadget.__module__, Gadget.__qualname__ = "a_lab_models", "Gadget"
    module.Gadget = Gadget  # type: ignore[attr-defined]
    sys.modules["a_lab_models"] = module
    try:
        torch.save({"gadget": Gadget(), "kind": Gadget}, tmp_path / "x.pt")
    finally:
        del sys.modules["a_lab_models"]
    archive = open_archive(tmp_path / "x.pt")
    found = plain(archive.value)
    assert found["gadget"]["_target_"] == "a_lab_models.Gadget"
    assert found["gadget"]["rate"] == 0.3
    assert archive.array(found["gadget"]["inner"]["w"]).tolist() == [1.0, 1.0]
    assert found["kind"] == "a_lab_models.Gadget"
    assert archive.names["a_lab_models.Gadget"] >= 1
    assert not is_known("a_lab_models.Gadget")
    assert "a_lab_models" not in sys.modules


class Trap:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._reduction = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._reduction


def malicious(mark: Path) -> dict[str, bytes]:
    """Pickles that would make the file `mark`, each in another way."""
    command = f"open({str(mark)!r}, 'w').close()"
    shell = f"touch {mark}"
    line = command.encode()
    import os

    return {
        "reduce": pickle.dumps({"state_dict": {}, "x": Trap(os.system, shell)}),
        "reduce of protocol 0": pickle.dumps(Trap(os.system, shell), protocol=0),
        "eval": pickle.dumps([Trap(eval, command)]),
        "nested": pickle.dumps(Trap(getattr, Trap(__import__, "os"), Trap(eval, "'system'"))),
        "global and build": b"\x80\x02c__builtin__\nexec\nX" + struct.pack("<I", len(line)) + line
        + b"\x85R}X\x01\x00\x00\x00aK\x01sb.",
        "inst": b"(S" + repr(command).encode() + b"\nibuiltins\nexec\n.",
        "obj": b"(cbuiltins\nexec\nX" + struct.pack("<I", len(line)) + line + b"o.",
        "newobj": b"\x80\x04cbuiltins\nexec\n\x8c" + bytes([len(line)]) + line + b"\x85\x81.",
        "newobj_ex": b"\x80\x04cbuiltins\nexec\n\x8c" + bytes([len(line)]) + line + b"\x85}\x92.",
        "stack global": b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c" + bytes([len(line)]) + line
        + b"\x85R.",
        "persistent id": b"cbuiltins\nexec\n(S" + repr(command).encode() + b"\ntRQ.",
        "persistent text": b"Pbuiltins.exec\n.",
        "extension": b"\x80\x02\x82\x01)R.",
    }  # fmt: skip


@pytest.mark.parametrize("way", malicious(Path("unused")))
def test_a_malicious_pickle_stays_inert(way: str, tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    content = malicious(mark)[way]
    archive = open_archive(zipped(tmp_path / "x.ckpt", content))
    plain(archive.value)
    tensor_of(archive.value)
    assert not mark.exists()
    if way not in ("persistent text",):
        assert any(not is_known(name) for name in archive.names), archive.names


def test_the_traps_do_run_in_pickle_itself(tmp_path: Path) -> None:
    """Otherwise the test above could not fail."""
    for way in ("reduce", "eval", "global and build", "inst", "obj", "stack global"):
        mark = tmp_path / way.replace(" ", "_")
        with contextlib.suppress(TypeError, AttributeError):  # of what follows the call
            pickle.loads(malicious(mark)[way])
        assert mark.exists(), way


def test_a_called_global_is_kept_as_text() -> None:
    found = read_pickle(pickle.dumps(Trap(eval, "1 + 1"))).value
    assert isinstance(found, Record)
    assert (found.name, found.arguments) == ("builtins.eval", ("1 + 1",))
    nested = read_pickle(b"cos\ngetcwd\n)R)R.").value
    assert nested.name == ""
    assert nested.callee.name == "os.getcwd"


def test_huge_memo_indices_and_lengths_allocate_nothing() -> None:
    assert read_pickle(b"]r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.").value == []
    for damaged in (
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",  # BINBYTES8 beyond the end
        b"\x8b\xff\xff\xff\x7f\x00.",  # LONG4 beyond the end
        b"j\xff\xff\xff\x7f.",  # nothing was remembered there
    ):
        with pytest.raises(PickleError):
            read_pickle(damaged)


def test_shared_and_circular_values_end(tmp_path: Path) -> None:
    bomb: list[object] = []
    for _ in range(60):
        bomb = [bomb, bomb]
    circle: list[object] = []
    circle.append(circle)
    content = pickle.dumps({"bomb": bomb, "circle": circle, "after": 1}, protocol=2)
    found = plain(open_archive(zipped(tmp_path / "x.ckpt", content)).value)
    assert set(found) == {"bomb", "circle", "after"}


def test_keys_that_hash_slowly_are_not_hashed() -> None:
    # (t, t) sixty times over: its hash takes 2^60 steps.
    tuples = b"K\x01K\x02\x86" + b"2\x86" * 60
    found = read_pickle(b"\x80\x02}(" + tuples + b"K\x05u.").value
    assert found == {"key 0": 5}


def test_deep_nesting_is_no_recursion() -> None:
    found = read_pickle(b"\x80\x02" + b"(" * 20000 + b"l" * 20000 + b".").value
    assert isinstance(found, list)
    plain(found)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02", b"\x80\x02.", b"\x80\x02}K\x01s.", b"(.", b"\x80\x02K\x01K\x02a.", b"\xff."],
    ids=["empty", "no end", "no value", "half a pair", "mark", "append to a number", "unknown"],
)
def test_a_damaged_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(PickleError):
        read_pickle(content)


def place(shape: tuple[int, ...], stride: tuple[int, ...], *, n: int, offset: int = 0) -> Record:
    storage = PersistentId(("storage", Name("torch.FloatStorage"), "0", "cpu", n))
    return Record("torch._utils._rebuild_tensor_v2", (storage, offset, shape, stride, False, None))


@pytest.mark.parametrize(
    "record",
    [
        place((3,), (1,), n=2),
        place((2, 2), (4, 1), n=4),
        place((2,), (1,), n=2, offset=1),
        place((10**6, 10**6), (0, 0), n=2),
        place((2,), (1,), n=10**12, offset=10**11),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(record: Record, tmp_path: Path) -> None:
    content = struct.pack("<2f", 1.0, 2.0)
    archive = open_archive(zipped(tmp_path / "x.ckpt", b"N.", storage_0=content))
    tensor = tensor_of(record)
    assert tensor is not None
    with pytest.raises(FormatError, match=r"storage|too few"):
        archive.array(tensor)


def test_other_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    legacy = tmp_path / "legacy.ckpt"
    torch.save({"x": torch.ones(2)}, legacy, _use_new_zipfile_serialization=False)
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint")
    other = tmp_path / "other.ckpt"
    np.savez(other.with_suffix(".npz"), x=np.ones(2))
    whole = zipped(tmp_path / "whole.ckpt", b"N." * 3).read_bytes()
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(whole[: len(whole) // 2])
    cases = {
        legacy: "before PyTorch 1.6",
        text: "no file of torch.save",
        other.with_suffix(".npz"): "zip without data.pkl",
        cut: "damaged",
        tmp_path: "is a folder",
        tmp_path / "absent.ckpt": "cannot be read",
    }
    for path, message in cases.items():
        with pytest.raises(FormatError, match=message):
            open_archive(path)


def test_a_compiled_program_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "program.pt", b"N.")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/code/__torch__.py", "")
    with pytest.raises(FormatError, match="TorchScript"):
        open_archive(path)


def test_configurations_and_attribute_dictionaries_are_plain_values(tmp_path: Path) -> None:
    """As OmegaConf and Lightning pickle them, with parents that lead back up."""
    node, box = "omegaconf.nodes.AnyNode", "omegaconf.dictconfig.DictConfig"
    listed = Called("omegaconf.listconfig.ListConfig", (), {"_content": [
        Called(node, (), {"_val": "a.h5", "_parent": Called(box)})
    ]})  # fmt: skip
    content = {"gen_dim": Called(node, (), {"_val": 8}), "data_paths": listed}
    lightning = "pytorch_lightning.utilities.parsing.AttributeDict"
    value = {
        "configuration": Called(box, (), {"_content": content, "_flags_cache": None}),
        "hyper_parameters": Called(lightning, (), None, {"gen_dim": 8, "own": Called(lightning)}),
        "unset": Called(box, (), {"_content": None}),
    }
    archive = open_archive(zipped(tmp_path / "x.ckpt", pickled(value, [])))
    assert plain(archive.value) == {
        "configuration": {"gen_dim": 8, "data_paths": ["a.h5"]},
        "hyper_parameters": {"gen_dim": 8, "own": {}},
        "unset": None,
    }
    assert all(map(is_known, archive.names))
