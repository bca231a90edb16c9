#!/usr/bin/env python3
"""Writes the .npy files of the tests in node/src/npy/tests.rs, with numpy itself (2.4.6 wrote those here).

    python3 -m venv /tmp/numpy && /tmp/numpy/bin/pip install numpy
    /tmp/numpy/bin/python node/tests/data/npy/generate.py
"""

import io
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FLOATS = [0.0, -1.5, 3.25, 1e10, -0.1]


def save(name: str, array, version=None) -> None:
    with open(HERE / f"{name}.npy", "wb") as file:
        np.lib.format.write_array(file, np.asanyarray(array), version=version)


def header(name: str, text: str, body: bytes = b"", version: int = 1, length: int | None = None) -> None:
    """A header that numpy would not write."""
    text = text.encode()
    size = len(text) if length is None else length
    packed = struct.pack("<H" if version == 1 else "<I", size)
    (HERE / f"{name}.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + packed + text + body)


for order, word in (("<", "little"), (">", "big")):
    for kind in ("f4", "f8"):
        save(f"{word}_{kind}", np.array(FLOATS, dtype=order + kind))
    for bits in (1, 2, 4, 8):
        signed = np.iinfo(f"i{bits}")
        save(f"{word}_i{bits}", np.array([0, -1, 2, signed.min, signed.max], dtype=f"{order}i{bits}"))
        save(f"{word}_u{bits}", np.array([0, 1, 2, 100, np.iinfo(f"u{bits}").max], dtype=f"{order}u{bits}"))

cube = np.arange(24, dtype="<i4").reshape(2, 3, 4)
save("c_3d", cube)
save("fortran_3d", np.asfortranarray(cube))
save("fortran_3d_big", np.asfortranarray(cube.astype(">i4")))
save("fortran_empty", np.zeros((0, 3), dtype="<f4", order="F"))
save("scalar", np.array(42, dtype="<i8"))
save("empty", np.zeros((0, 3), dtype="<f4"))
save("version_2", cube, (2, 0))
save("version_3", cube, (3, 0))
save("nonfinite", np.array([1.0, np.nan, np.inf, -np.inf], dtype="<f8"))

save("bad_object", np.array([1, "two", None], dtype=object))
save("bad_bool", np.array([True, False]))
save("bad_complex", np.array([1 + 2j], dtype="<c16"))
save("bad_half", np.array([1.5], dtype="<f2"))
save("bad_longdouble", np.array([1.5], dtype=np.longdouble))
save("bad_text", np.array(["a", "bc"]))
save("bad_bytes", np.array([b"a", b"bc"]))
save("bad_date", np.array(["2020-01-01"], dtype="<M8[D]"))
save("bad_void", np.zeros(2, dtype="V8"))
save("bad_structured", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))

whole = (HERE / "little_f4.npy").read_bytes()
(HERE / "bad_truncated.npy").write_bytes(whole[:-3])
(HERE / "bad_truncated_header.npy").write_bytes(whole[:40])
(HERE / "bad_truncated_magic.npy").write_bytes(whole[:4])
(HERE / "bad_trailing.npy").write_bytes(whole + b"\0\0")
(HERE / "bad_version.npy").write_bytes(whole[:6] + b"\x04\x00" + whole[8:])
(HERE / "bad_zero_bytes.npy").write_bytes(b"")
(HERE / "bad_foreign.npy").write_bytes(b"epoch,loss\n1,0.5\n")
archive = io.BytesIO()
np.savez(archive, a=np.arange(3))
(HERE / "bad_zip.npy").write_bytes(archive.getvalue())

header("bad_header_length", "{'descr'", version=2, length=0xFFFFFFFF)
header("bad_shape_overflow", "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n")
header("bad_shape_huge", "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n", b"\0" * 8)
header("bad_shape_long", "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,), }\n")
header("bad_shape_negative", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n")
header("bad_no_shape", "{'descr': '<f4', 'fortran_order': False}\n")
header("bad_python", "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os'), }\n")
header("bad_nesting", "{'descr': " + "(" * 200)
header("python_2", "{'shape': (2L,), 'fortran_order': False, \"descr\": \"<i2\"}\n", struct.pack("<2h", 7, -8))
