"""Secrets as they stand in log lines: what each kind looks like, and what makes sure that it is one.

All kinds are one regular expression of RE2, so that a text without secrets is passed over once, in linear
time, however many kinds there are. What it finds is a candidate: a card number must have an issuer's prefix
and length and satisfy Luhn's formula (ISO/IEC 7812), an IBAN its country's length and the remainder 1 modulo
97 (ISO 13616), a token more than a word has. Lines are told apart by `\\x00`, which no kind reaches across.

Texts are UTF-8 in bytes; the expressions read bytes (Latin-1), and every name in them is ASCII.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

APART = b"\x00"
"""between two lines"""

MAX_MEMORY = 16 << 20
"""of the automata of an expression, bytes; beyond it they begin anew"""

_WORDS = (
    rb"passw(?:or)?d|passwd|passphrase|\bpass|_pass|pwd"
    rb"|secret(?:[_-]?(?:access[_-]?)?key)?|(?:api|access|account|private|shared[_-]?access|encryption)[_-]?key"
    rb"|(?:access|auth|refresh|id|session|api|security|csrf)[_-]?token|x-amz-signature|jsessionid|phpsessid"
    rb"|token|authorization|credentials?|signature|\bsig"
)
"""names whose values are secret; `_LIKELY` says which of them only if the value looks the part"""

_KEY = rb"(?i:(?:" + _WORDS + rb")\\*[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4})"
_SPOKEN = rb"(?i:(?:passw(?:or)?d|identified by)\s{1,4})"
_OPTION = rb"(?i:[\s\x00\"']--?(?:pass(?:word)?|passwd|pwd|token|secret|api[_-]?key)\s{1,4})"

_FORMS: tuple[tuple[str, bytes], ...] = (
    (  # first, since it is what is found most often; never in an identifier (blk_-4111...) or a fraction
        "card",
        rb"(?:[^\w.+-]|[A-Za-z]-)([2-6]\d{12,18}|[2-6]\d{3}(?:[ -]\d{4}){2}[ -]\d{1,7}(?:[ -]\d{1,3})?"
        rb"|3\d{3}[ -]\d{6}[ -]\d{4,5})\b",
    ),
    (
        "private-key",
        rb"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
        rb"(?:[^\x00]*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|[^\x00]*))",
    ),
    ("private-key", rb"\x00([A-Za-z0-9+/]{64})\x00"),  # a key that was logged line by line
    ("jwt", rb"\b(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*)"),
    ("cloud-key", rb"\b((?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35})\b"),
    (
        "api-token",
        rb"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}"
        rb"|xapp-\d-[\w-]{10,}|hooks\.slack\.com/services/[\w/]{10,}|[spr]k_(?:live|test)_\w{10,}"
        rb"|sk-[\w-]{20,}|npm_\w{30,}|pypi-[\w-]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|hvs\.[\w-]{20,}"
        rb"|whsec_[\w+/]{16,}|dop_v1_[a-f0-9]{40,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})",
    ),
    ("bearer", rb"\b(?i:bearer|basic|negotiate)\s{1,4}([A-Za-z0-9._~+/-]{8,}=*)"),
    ("secret", rb"\b(?i:(?:set-)?cookie\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?)([^\"'\\\x00\r\n]{3,})"),
    ("secret", _KEY + rb"\\+\"([^\"\x00]*?)\\+\""),
    ("secret", _KEY + rb"\"((?:[^\"\\\x00]|\\[^\x00])*)"),
    ("secret", rb"(?:" + _KEY + rb"|" + _SPOKEN + rb")'((?:[^'\\\x00]|\\[^\x00])*)"),
    (
        "secret",
        rb"(?:" + _KEY + rb"|" + _OPTION + rb")"
        rb"([^\s\"'\\,;&\x00-\x1f\x7f(){}\[\]<>|][^\s\"'\\,;&\x00-\x1f\x7f)}\]<>|]*)",
    ),
    ("url-password", rb"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@\"'\x00]*:([^\s/@\"'\x00]+)@"),
    ("iban", rb"\b([A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)\b"),
)
"""kind, and an expression with one group: what is secret of it"""

_LIKELY = re.compile(rb"(?:^|[^_-])(?:token|authorization|credentials?|signature|sig)\b", re.IGNORECASE)
_NO_SECRET = re.compile(
    rb"(?:null|none|nil|true|false|undefined|yes|no|empty|n/a|-|\?|redacted|masked|filtered|hidden|removed"
    rb"|\[\w+\]?|x{3,}|[*.\xe2\x80\xa2#-]+|%\w|[<$]\{?[\w.-]*[>}]?|\{.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_DIGIT = re.compile(rb"\d")
_MIXED = re.compile(rb"\d|[a-z][A-Z]|=\Z")
_NO_MAIL = re.compile(
    rb"\.(?:service|socket|timer|slice|scope|target|mount|device|path|swap|png|jpe?g|gif|svg|webp|js|css|so|py"
    rb"|java|go|rb|jar|local)\Z"
)

_CARDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|3[689]"), (14, 16)),
    (re.compile(r"6011|64[4-9]|65|62|35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"5018|5020|5038|5893|6304|6759|676[1-3]"), (13, 14, 15, 16, 17, 18, 19)),
)
"""issuers' prefixes and the lengths of their numbers"""

_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {each[:2]: int(each[2:]) for each in re.findall(r"\w+", _LENGTHS)}

_GROUP = re.compile(rb"((?:^|[^\\])(?:\\\\)*)\((?!\?)")
_LOCAL = bytes([*b"._%+-", *range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B), *range(0x80, 0x100)])
"""what may stand before the @ of an address"""
_MOST_LOCAL = 64
_DOMAIN = re.compile(
    rb"@[A-Za-z0-9\x80-\xff-]{1,63}(?:\.[A-Za-z0-9\x80-\xff-]{1,63}){0,8}\.[A-Za-z\x80-\xff]{2,63}"
)


class Found(NamedTuple):
    """A secret: bytes `start` to `end` of the text."""

    start: int
    end: int
    kind: str


class Finder:
    """Finds secrets of some kinds. Holds nothing but its expressions."""

    def __init__(self, kinds: Collection[str]) -> None:
        """`kinds` of `config.logs.SECRETS`, not none of them."""
        self._kinds = frozenset(kinds)
        asked = self._kinds | ({"secret"} if "password" in self._kinds else set())
        forms = [(kind, form) for kind, form in _FORMS if kind in asked]
        self._of = tuple(kind for kind, _ in forms)
        # RE2 says where, and without groups needs nothing but its automata; `re`, which takes alternatives in
        # the same order, says which, at that place alone.
        self._search = _compiled(b"|".join(_GROUP.sub(rb"\1(?:", form) for _, form in forms)).search
        self._which = re.compile(b"|".join(form for _, form in forms)).match

    def find(self, text: bytes) -> list[Found]:
        """All secrets of a text that begins and ends with `APART`, in order; they do not overlap."""
        found = self._formed(text) if self._of else []
        if "mail" in self._kinds and b"@" in text:
            return _merged(found, _mails(text))
        return found

    def _formed(self, text: bytes) -> list[Found]:
        found: list[Found] = []
        search, at = self._search, 0
        while (match := search(text, at)) is not None:
            begin = match.start()
            which = self._which(text, begin)
            group = which.lastindex if which is not None else None
            if which is None or group is None:
                at = begin + 1
                continue
            start, end = which.span(group)
            secret = self._checked(self._of[group - 1], text, begin, start, end)
            # What is refused may have a secret in it, or behind its first letter.
            at = max(start, begin + 1) if secret is None else max(secret.end, at + 1)
            if secret is not None:
                found.append(secret)
        return found

    def _checked(self, kind: str, text: bytes, whole: int, start: int, end: int) -> Found | None:
        """The candidate, or the part of it that is one; None if it is none, or of no kind asked for."""
        said = text[start:end]
        if kind == "card":
            end = _card(text, start, end)
        elif kind == "iban":
            end = start + _iban(said)
        elif kind == "bearer":
            end = end if len(said) >= 20 or _MIXED.search(said) else -1
        elif kind == "secret":
            key = text[whole:start]
            kind = _named(key, said)
        elif kind == "private-key" and whole < start:
            end = end if _DIGIT.search(said) and said not in (said.lower(), said.upper()) else -1
        elif kind == "url-password" and _NO_SECRET.match(said):
            end = -1
        return Found(start, end, kind) if end > start and kind in self._kinds else None


def _mails(text: bytes) -> list[Found]:
    """Mail addresses, by the @ in them: there may be many, and they all have one."""
    found: list[Found] = []
    for domain in _DOMAIN.finditer(text):
        at = domain.start()
        before = text[max(0, at - _MOST_LOCAL) : at]
        start = at - len(before) + len(before.rstrip(_LOCAL))
        if start < at and not _NO_MAIL.search(domain[0]):
            found.append(Found(start, domain.end(), "mail"))
    return found


def _merged(found: list[Found], mails: list[Found]) -> list[Found]:
    """In order; an address that is part of another secret, or has part of one, is not one."""
    if not found or not mails:
        return found or mails
    starts = [each.start for each in found]
    apart = []
    for mail in mails:
        next_one = bisect_right(starts, mail.start)
        if (not next_one or found[next_one - 1].end <= mail.start) and (
            next_one == len(found) or mail.end <= starts[next_one]
        ):
            apart.append(mail)
    return sorted([*found, *apart])


def _compiled(form: bytes) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return re2.compile(form, options)


def _named(key: bytes, value: bytes) -> str:
    """`password` or `secret` by the name before it; empty for a value that is none."""
    if not value or _NO_SECRET.match(value):
        return ""
    name = key.lower()
    if b"pass" in name or b"pwd" in name or b"identified" in name:
        if b"pwd" in name and value[:1] in (b"/", b"~"):  # a working directory
            return ""
        return "" if name.lstrip(b"_ -\x00")[:5] in (b"pass=", b"pass:") and value.isdigit() else "password"
    if b"cookie" in name:
        return "secret" if b"=" in value else ""
    if _LIKELY.search(name) and not (len(value) >= 8 and _DIGIT.search(value)):
        return ""
    return "secret"


def _card(text: bytes, start: int, end: int) -> int:
    """Where a card number that begins at `start` ends; -1 if none does."""
    after = text[end : end + 2]
    if after[:1] in (b".", b"-") and after[1:].isdigit():
        return -1
    digits = re.sub(rb"[ -]", b"", text[start:end]).decode()
    if _is_card(digits):
        return end
    if len(digits) > 16 and not text[start:end].isdigit() and _is_card(digits[:16]):
        return start + 19  # four groups of four, and a number that follows
    return -1


def _is_card(digits: str) -> bool:
    fits = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _CARDS)
    return fits and luhn(digits)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    total = sum(int(d) for d in digits[-1::-2])
    total += sum(2 * n - 9 * (n > 4) for n in map(int, digits[-2::-2]))
    return total % 10 == 0


def _iban(text: bytes) -> int:
    """How many bytes of the text are an IBAN it begins with; -1 if it begins with none."""
    wanted = _IBAN_LENGTHS.get(text[:2].decode(), 0)
    seen = size = 0
    for size in range(1, len(text) + 1):
        seen += text[size - 1] != 0x20
        if seen == wanted:
            break
    rest = text[size : size + 1]
    if seen != wanted or not wanted or (rest and rest != b" "):
        return -1
    plain = text[:size].replace(b" ", b"").decode()
    number = int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4]))
    return size if number % 97 == 1 else -1
