"""Reading bytes in compiled kernels: one at a time, eight at a time, protobuf varints.

The bytes are a u8 array. Nothing here checks the end of it: callers do, before every access. As plain
Python (`NUMBA_DISABLE_JIT=1`) every access is checked, so that a test can show that callers really do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.records.compiled import COMPILING, part

Raw = npt.NDArray[np.uint8]

if COMPILING:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    def _pointer(context: Any, builder: Any, kind: Any, raw: Any, at: Any, bits: int) -> Any:
        array = context.make_array(kind)(context, builder, raw)
        return builder.bitcast(
            cgutils.pointer_add(builder, array.data, at), ir.IntType(bits).as_pointer()
        )

    @intrinsic
    def byte_at(typing: Any, raw: Any, at: Any) -> Any:
        """The byte at this place as i64."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.load(_pointer(context, builder, signature.args[0], *args, bits=8))
            return builder.zext(found, ir.IntType(64))

        return types.int64(raw, types.int64), build

    @intrinsic
    def word_at(typing: Any, raw: Any, at: Any) -> Any:
        """Eight bytes from this place as u64, little-endian."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.load(_pointer(context, builder, signature.args[0], *args, bits=64))
            found.align = 1
            return found

        return types.uint64(raw, types.int64), build

    @intrinsic
    def double_of(typing: Any, word: Any) -> Any:
        """The f64 with these bits."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.uint64), build

    @intrinsic
    def high_of_product(typing: Any, a: Any, b: Any) -> Any:
        """The upper 64 bits of the product of two u64."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wide = [builder.zext(arg, ir.IntType(128)) for arg in args]
            upper = builder.lshr(builder.mul(*wide), ir.Constant(ir.IntType(128), 64))
            return builder.trunc(upper, ir.IntType(64))

        return types.uint64(types.uint64, types.uint64), build

    @part
    def stirred(h: Any, word: Any) -> Any:
        """The hash `h` (u64) with eight more bytes stirred in."""
        h = (h ^ word) * np.uint64(0x9E3779B97F4A7C15)
        return h ^ (h >> np.uint64(29))

else:

    def byte_at(raw: Raw, at: int) -> int:
        """The byte at this place as i64."""
        assert 0 <= at < len(raw)
        return int(raw[at])

    def word_at(raw: Raw, at: int) -> int:
        """Eight bytes from this place as u64, little-endian."""
        assert 0 <= at <= len(raw) - 8
        return int.from_bytes(raw[at : at + 8].tobytes(), "little")

    def double_of(word: int) -> float:
        """The f64 with these bits."""
        return float(np.frombuffer(int(word).to_bytes(8, "little"), dtype="<f8")[0])

    def high_of_product(a: int, b: int) -> int:
        """The upper 64 bits of the product of two u64."""
        return (int(a) * int(b)) >> 64

    def stirred(h: int, word: int) -> int:
        """The hash `h` (u64) with eight more bytes stirred in."""
        h = ((int(h) ^ int(word)) * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF
        return h ^ (h >> 29)


@part
def varint(raw: Raw, at: int, end: int) -> tuple[int, int]:
    """A number below 2^63 at `at`, and where it ends; -1 for the end if it is broken or larger."""
    value = 0
    shift = 0
    while at < end and shift < 63:
        byte = byte_at(raw, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, -1


@part
def sized(raw: Raw, at: int, end: int) -> tuple[int, int]:
    """Where the content of a length-delimited field begins and ends; (-1, -1) if it does not fit.

    Lengths of more than four bytes are for a parser to judge.
    """
    size, start = varint(raw, at, end)
    if start < 0 or start - at > 4 or size > end - start:
        return -1, -1
    return start, start + size
