"""Decimal numbers to doubles in compiled kernels, rounded as the standard library does.

The method of Eisel and Lemire ("Number parsing at a gigabyte per second", 2021): the digits times a power
of five to 128 bits, which decides the nearest double in all but very few cases. Those, and numbers with
more than 19 digits or beyond the table, are handed back as undecided.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streams.decode.rawbytes import double_of, high_of_product, product, total
from streams.records.compiled import part

MOST_DIGITS = 19
FURTHEST = 64
"""powers of ten from -FURTHEST to FURTHEST are in the table"""

_EXACT = np.uint64(2**53)
_POWERS = np.array([10.0**i for i in range(23)])
"""all exact"""


def _fives() -> Any:
    """[q + FURTHEST] 5^q as 128 bits, the highest of them set; rounded up for negative q, else down."""
    rows = []
    for q in range(-FURTHEST, FURTHEST + 1):
        if q >= 0:
            five = 5**q
            bits = five.bit_length()
            whole = five << (128 - bits) if bits <= 128 else five >> (bits - 128)
        else:
            five = 5**-q
            whole = (1 << (five.bit_length() - 1 + 128)) // five + 1
            whole >>= max(0, whole.bit_length() - 128)
        rows.append((whole >> 64, whole & (2**64 - 1)))
    return np.array(rows, dtype=np.uint64)


_FIVES = _fives()


@part
def nearest(digits: Any, power: int) -> tuple[float, bool]:
    """The double nearest to digits (u64) * 10^power, and whether that is certain."""
    if digits == np.uint64(0):
        return 0.0, True
    if digits <= _EXACT and -22 <= power <= 22:
        # Both are exact: one rounding, and the right one.
        exact = float(np.int64(digits))
        return (exact / _POWERS[-power] if power < 0 else exact * _POWERS[power]), True
    if power < -FURTHEST or power > FURTHEST:
        return 0.0, False
    shift = 0
    word = digits
    while word < np.uint64(1 << 63):
        word = word << np.uint64(1)
        shift += 1
    high_five, low_five = _FIVES[power + FURTHEST, 0], _FIVES[power + FURTHEST, 1]
    low = product(word, high_five)
    high = high_of_product(word, high_five)
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        # The other half of the power may carry into the bits that count.
        more = high_of_product(word, low_five)
        before = low
        low = total(low, more)
        if low < before:
            high = high + np.uint64(1)
        if low == np.uint64(0xFFFF_FFFF_FFFF_FFFF):
            return 0.0, False
    upper = high >> np.uint64(63)
    mantissa = high >> (upper + np.uint64(9))
    rest = high & ((np.uint64(1) << (upper + np.uint64(9))) - np.uint64(1))
    if low <= np.uint64(1) and rest == np.uint64(0) and mantissa & np.uint64(3) == np.uint64(1):
        return 0.0, False  # half way, perhaps: to even needs to know for sure
    binary = ((217706 * power) >> 16) + 1086 - shift + np.int64(upper)
    mantissa = (mantissa + (mantissa & np.uint64(1))) >> np.uint64(1)
    if mantissa >= np.uint64(1 << 53):
        mantissa = mantissa >> np.uint64(1)
        binary += 1
    if binary <= 0 or binary >= 2047:
        return 0.0, False
    return double_of((np.uint64(binary) << np.uint64(52)) | (mantissa & np.uint64((1 << 52) - 1))), True
