"""Who sent a record, as far as the user has a say in it: the rules of a topic, frozen."""

from __future__ import annotations

from typing import NamedTuple

from config.settings import InputTopic


class Rules(NamedTuple):
    """Empty lists leave it to the format. A name of the form `=text` stands for the text itself."""

    service: tuple[str, ...] = ()
    """names of labels, fields or resource attributes that name the service, in order"""
    instance: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """attributes that stay in the context under their own name"""


def of(topic: InputTopic | None, keep: tuple[str, ...] = ()) -> Rules:
    """The rules of an input topic as configured."""
    return Rules(keep=keep) if topic is None else Rules(topic.service, topic.instance, topic.env, keep)
