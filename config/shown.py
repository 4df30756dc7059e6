"""Settings as people may see them: secrets replaced, and what differs from the defaults. Pure.

What is a secret is decided by the name of its key, and by where it stands: every header, and whatever an
address holds beside its host. A key nobody has heard of that looks like one is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from config.secrets import Secret
from config.settings import Settings

HIDDEN = "•••"
_SECRET = re.compile(
    r"passw|secret|token|credential|private|passphrase|api_?key|_key\b|routing_key|auth(?!_)|cookie|\bkey\b|sasl|sha256",
    re.IGNORECASE,
)
_HEADERS = ("headers",)
"""keys all of whose values are secrets"""
_PLAIN = {"secrets", "keys"}
"""keys that look like secrets and hold none, but whose own keys are looked at"""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def shown(value: Any) -> Any:
    """Plain values of a struct of the settings, secrets replaced. References to secrets stay."""
    return _hide(value, "", bare=False)


def sections(settings: Settings) -> dict[str, Any]:
    """Section -> what differs from the defaults in it, secrets replaced; those that do not are left out."""
    found: dict[str, Any] = {}
    defaults = Settings()
    for name in settings.__struct_fields__:
        changed = _differing(getattr(settings, name), getattr(defaults, name))
        if changed:
            found[name] = _hide(changed, name, bare=name == "notify")
    return found


def as_yaml(value: Any) -> str:
    """As it would stand in the file."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip() if value else ""


def item(value: msgspec.Struct, *, bare: bool = False) -> dict[str, Any]:
    """One rule, target or schedule: what it says that the defaults do not, secrets replaced.

    `bare`: of addresses only the host is shown, as those of targets may be secrets themselves.
    """
    found: dict[str, Any] = {}
    tag = value.__struct_config__.tag
    if isinstance(tag, str):
        found["type"] = tag
    encoded = dict(zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True))
    for field in msgspec.structs.fields(value):
        kept = getattr(value, field.name)
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if kept != default or field.required:
            found[encoded[field.name]] = _hide(kept, field.name, bare=bare)
    return found


def _differing(value: Any, default: Any) -> dict[str, Any]:
    found = {}
    encoded = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    for name, key in encoded:
        kept, usual = getattr(value, name), getattr(default, name)
        if kept == usual:
            continue
        if isinstance(kept, msgspec.Struct) and type(kept) is type(usual):
            found[key] = _differing(kept, usual)
        else:
            found[key] = kept
    return found


def _hide(value: Any, key: str, *, bare: bool) -> Any:
    if isinstance(value, Secret):
        return {name: text for name, text in (("env", value.env), ("file", value.file)) if text}
    if isinstance(value, msgspec.Struct):
        return item(value, bare=bare)
    if isinstance(value, Mapping):
        hide_all = key in _HEADERS
        return {
            str(name): (HIDDEN if one else one) if hide_all else _hide(one, str(name), bare=bare)
            for name, one in value.items()
        }
    secret = bool(_SECRET.search(key)) and key not in _PLAIN
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_hide(one, key, bare=bare) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if secret and value:
        return HIDDEN
    text = str(value)
    if bare and key == "template" and text:
        return f"… {len(text)} characters"
    return _address(text, bare) if _ADDRESS.match(text) else text


def _address(url: str, bare: bool) -> str:
    """Without user, password and query; `bare`: without the path, too."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    host = f"[{host}]" if ":" in host else host
    user = f"{HIDDEN}@" if parts.username or parts.password else ""
    path = parts.path if not bare else f"/{HIDDEN}" if parts.path.strip("/") else parts.path
    rest = f"?{HIDDEN}" if parts.query else ""
    return f"{parts.scheme}://{user}{host}{port}{path}{rest}"
