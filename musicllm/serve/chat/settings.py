"""The settings that /set changes: sampling and rules of tunes, with the limits of the schema."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from typing import Any

from musicllm.errors import ConfigError, InputError
from musicllm.inference.requests import SamplingSettings
from musicllm.music.grammar import Grammar, TuneRules
from musicllm.schema import GenerationConfig, TuneConfig
from musicllm.schema.keys import Setting, settings
from musicllm.serve.chat.answering import MAX_SEED, Manner

_GENERATION = settings(GenerationConfig)
SAMPLING = {field.name: _GENERATION[field.name] for field in fields(SamplingSettings)}
TUNE = {f"tune.{name}": setting for name, setting in settings(TuneConfig).items()}
SETTINGS = SAMPLING | TUNE
"""By the name that /set takes, which is the key without `generation.`."""

NOTHING = ("null", "none")
WORDS = {"true": True, "false": False}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def changed(manner: Manner, words: str) -> Manner:
    """Return a manner with other settings.

    Args:
        manner: that is changed.
        words: such as `temperature=0.2 tune.key=Em`; none for no change.

    Raises:
        InputError: a word names no setting or has a value that it cannot have; nothing is changed.
    """
    changes = dict(map(_change, words.split()))
    sampling: dict[str, Any] = {name: changes[name] for name in changes if name in SAMPLING}
    tune: dict[str, Any] = {
        name.removeprefix("tune."): changes[name] for name in changes if name in TUNE
    }
    spare = replace(manner.spare_rules, **tune)
    try:
        Grammar(spare)
    except ConfigError as error:
        problems = [str(problem).removeprefix("generation.") for problem in error.problems]
        raise InputError(f"/set {'; '.join(problems)}") from None
    return replace(
        manner,
        settings=replace(manner.settings, **sampling),
        spare_rules=spare,
        rules=None if manner.rules is None else spare,
    )


def names(words: str) -> list[str]:
    """Return the settings that words such as `generation.temperature=0.2` name."""
    return [word.partition("=")[0].removeprefix("generation.") for word in words.split()]


def shown(manner: Manner, only: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and meaning of some settings; of all if none is named."""
    values = asdict(manner.settings)
    values |= {f"tune.{name}": value for name, value in asdict(manner.spare_rules).items()}
    for name, setting in SETTINGS.items():
        if only and name not in only:
            continue
        yield name, _text(values[name]), setting.comment


def rules_in_words(manner: Manner) -> str:
    """Return the rules that tunes keep to with the grammar, as /set takes them."""
    usual = asdict(TuneRules())
    rules = asdict(manner.spare_rules).items()
    return " ".join(f"tune.{name}={_text(value)}" for name, value in rules if value != usual[name])


def seed(text: str) -> int:
    """Return the seed that a text is.

    Raises:
        InputError: it is none.
    """
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise InputError(f"/seed {text}: it must be a whole number from 0 to {MAX_SEED}")
    return int(text)


def breach(setting: Setting, value: Any) -> str:
    """Return the rule that a value of JSON breaks; empty when it breaks none."""
    if value is None and setting.nullable:
        return ""
    if setting.is_list:
        is_list = isinstance(value, list) and all(map(is_text, value))
        return "" if is_list else "must be a list of texts"
    if setting.type is str:
        fits = is_text(value)
    elif isinstance(value, bool) or setting.type is bool:
        fits = isinstance(value, bool) and setting.type is bool
    else:
        fits = isinstance(value, int | float if setting.type is float else int)
    return setting.breach(value) if fits else f"must be {KINDS[setting.type]}"


def is_text(value: object) -> bool:
    """Return whether a value is a text that UTF-8 can hold."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _change(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    name = name.removeprefix("generation.")
    if not name:
        raise InputError(f"/set {word} names no setting; write <name>=<value>, as temperature=0.2")
    if name not in SETTINGS:
        near = get_close_matches(name, SETTINGS, 1)
        fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(SETTINGS)}"
        raise InputError(f"/set {name} is no setting of a conversation; {fix}")
    if not equals:
        raise InputError(f"/set {name} has no value; write {name}=<value>")
    return name, _value(f"/set {name}=", SETTINGS[name], text)


def _value(named: str, setting: Setting, text: str) -> Any:
    """Return the value that a text means, as the schema types it."""
    if setting.nullable and text.lower() in NOTHING:
        return None
    try:
        value = _typed(setting, text)
    except (ValueError, KeyError):
        raise InputError(f"{named}{text}: it must be {KINDS[setting.type]}") from None
    if rule := setting.breach(value) if isinstance(value, int | float) else "":
        raise InputError(f"{named}{text}: it {rule}")
    return value


def _typed(setting: Setting, text: str) -> Any:
    if setting.is_list:
        return tuple(part for part in text.strip("[]").split(",") if part)
    if setting.type is bool:
        return WORDS[text.lower()]
    return setting.type(text)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "[]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
