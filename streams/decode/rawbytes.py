# mypy: disable-error-code="untyped-decorator,call-arg,misc"
"""Memory as compiled kernels read and write it: bytes, words, protobuf varints.

Kernels get *handles* of arrays, not arrays: numba counts references to an array in every function it is
passed to, which took most of the time. Compiled, a handle is an address, and nothing checks the ends:
callers do, before every access. As plain Python (`NUMBA_DISABLE_JIT=1`) a handle is the array and every
access is checked, so that a test can show that callers really do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.records.compiled import COMPILING, part

Raw = npt.NDArray[np.uint8]

if COMPILING:
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba.core import types
    from numba.extending import intrinsic

    def _place(builder: Any, base: Any, at: Any, kind: Any) -> Any:
        """Pointer to element `at` of what lies at address `base`."""
        return builder.gep(builder.inttoptr(base, kind.as_pointer()), [at])

    def _load(result: Any, bits: int, signed: bool = True) -> Any:
        @intrinsic
        def load(typing: Any, base: Any, at: Any) -> Any:
            def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                found = builder.load(_place(builder, *args, ir.IntType(bits)))
                if bits == 64:
                    return found
                return (builder.sext if signed else builder.zext)(found, ir.IntType(64))

            return result(types.int64, types.int64), build

        return load

    def _store(value: Any, kind: Any) -> Any:
        @intrinsic
        def store(typing: Any, base: Any, at: Any, what: Any) -> Any:
            def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                base, at, what = args
                if isinstance(kind, ir.IntType) and kind.width < 64:
                    what = builder.trunc(what, kind)
                builder.store(what, _place(builder, base, at, kind))
                return context.get_dummy_value()

            return types.void(types.int64, types.int64, value), build

        return store

    byte_at = _load(types.int64, 8, signed=False)
    """(u8 handle, i) -> i64"""
    int_at = _load(types.int64, 64)
    """(i64 handle, i) -> i64"""
    small_at = _load(types.int64, 32)
    """(i32 handle, i) -> i64"""
    unsigned_at = _load(types.uint64, 64)
    """(u64 handle, i) -> u64"""
    put_byte = _store(types.int64, ir.IntType(8))
    put_int = _store(types.int64, ir.IntType(64))
    put_small = _store(types.int64, ir.IntType(32))
    put_unsigned = _store(types.uint64, ir.IntType(64))
    put_double = _store(types.float64, ir.DoubleType())

    @intrinsic
    def word_at(typing: Any, raw: Any, at: Any) -> Any:
        """(u8 handle, byte) -> eight bytes from there as u64, little-endian."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte = _place(builder, *args, ir.IntType(8))
            found = builder.load(builder.bitcast(byte, ir.IntType(64).as_pointer()))
            found.align = 1
            return found

        return types.uint64(types.int64, types.int64), build

    @intrinsic
    def double_of(typing: Any, word: Any) -> Any:
        """The f64 with these bits (u64)."""

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
    def product(a: Any, b: Any) -> Any:
        """The lower 64 bits of the product of two u64."""
        return a * b

    @part
    def total(a: Any, b: Any) -> Any:
        """The lower 64 bits of the sum of two u64."""
        return a + b

    @part
    def stirred(h: Any, word: Any) -> Any:
        """The hash `h` (u64) with eight more bytes stirred in."""
        h = (h ^ word) * np.uint64(0x9E3779B97F4A7C15)
        return h ^ (h >> np.uint64(29))

    def handle(array: Any) -> Any:
        """What a kernel is given of an array, which must outlive the call and be contiguous."""
        return array.__array_interface__["data"][0]

else:

    def _check(array: Any, at: int, size: int = 1) -> None:
        if not 0 <= at <= len(array) - size:
            raise IndexError(f"{size} at {at} of {len(array)}")

    def _load(array: Any, at: int) -> Any:
        _check(array, at)
        return int(array[at])

    def _store(array: Any, at: int, value: Any) -> None:
        _check(array, at)
        array[at] = value

    def unsigned_at(array: Any, at: int) -> Any:
        """(u64 handle, i) -> u64"""
        return np.uint64(_load(array, at))

    byte_at = int_at = small_at = _load
    put_byte = put_int = put_small = put_unsigned = put_double = _store

    def word_at(raw: Raw, at: int) -> Any:
        """(u8 handle, byte) -> eight bytes from there as u64, little-endian."""
        _check(raw, at, 8)
        return np.uint64(int.from_bytes(raw[at : at + 8].tobytes(), "little"))

    def double_of(word: int) -> float:
        """The f64 with these bits (u64)."""
        return float(np.frombuffer(int(word).to_bytes(8, "little"), dtype="<f8")[0])

    _U64 = 2**64 - 1

    def high_of_product(a: Any, b: Any) -> Any:
        """The upper 64 bits of the product of two u64."""
        return np.uint64((int(a) * int(b)) >> 64)

    def product(a: Any, b: Any) -> Any:
        """The lower 64 bits of the product of two u64."""
        return np.uint64((int(a) * int(b)) & _U64)

    def total(a: Any, b: Any) -> Any:
        """The lower 64 bits of the sum of two u64."""
        return np.uint64((int(a) + int(b)) & _U64)

    def stirred(h: Any, word: Any) -> Any:
        """The hash `h` (u64) with eight more bytes stirred in."""
        h = product(int(h) ^ int(word), 0x9E3779B97F4A7C15)
        return h ^ (h >> np.uint64(29))

    def handle(array: Any) -> Any:
        """What a kernel is given of an array."""
        return array


@part
def varint(raw: Any, at: int, end: int) -> tuple[int, int]:
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
def sized(raw: Any, at: int, end: int) -> tuple[int, int]:
    """Where the content of a length-delimited field begins and ends; (-1, -1) if it does not fit.

    Lengths of more than four bytes are for a parser to judge.
    """
    size, start = varint(raw, at, end)
    if start < 0 or start - at > 4 or size > end - start:
        return -1, -1
    return start, start + size


@part
def copied(raw: Any, at: int, end: int, into: Any, to: int) -> int:
    """Bytes from one place to another; where the copy ends."""
    while at + 1 <= end:
        put_byte(into, to, byte_at(raw, at))
        at += 1
        to += 1
    return to


@part
def equal(a: Any, at: int, b: Any, bt: int, size: int) -> bool:
    """Whether `size` bytes are the same."""
    end = at + size
    while at + 8 <= end:
        if word_at(a, at) != word_at(b, bt):
            return False
        at += 8
        bt += 8
    while at < end:
        if byte_at(a, at) != byte_at(b, bt):
            return False
        at += 1
        bt += 1
    return True
