"""Generates conversations from tunes: requests and answers are derived from the tune.

Families are tried in random order for each tune until enough of them fit, so only what is used
is computed. For wordings see `wordings`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache

from musicllm.data.instructions.dialogue import dialogue
from musicllm.data.instructions.families import ABOUT_CHORDS, DIALOGUE, FAMILIES, TASKS
from musicllm.data.instructions.subject import Subject
from musicllm.data.instructions.turns import InstructionTurn, ask
from musicllm.data.instructions.wordings import Wordings, languages, wordings
from musicllm.data.records import Drop, Record
from musicllm.data.settings import InstructionSettings
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.music.abc.limits import shorten

_KEY = "data.instructions"


def make_instructions(
    record: Record, settings: InstructionSettings, seed: int
) -> tuple[list[Record], list[Drop]]:
    """Generate conversations from one tune; a pure function of the arguments.

    Cost: a few milliseconds per conversation; wordings are read once per process.

    Args:
        record: a bare tune: `id`, `source`, `text`.
        settings: families, languages and counts, which `find_problems` accepts.
        seed: together with the record's id, decides families, wordings and openings.

    Returns:
        Records with `messages`, `task`, `conditions` and `language`, of different families while
        more of them fit; and the reasons if there is none, or none about chords because a chord
        symbol is not supported.

    Raises:
        ConfigError: the settings have problems.
        InputError: a file of phrasings has a mistake.
    """
    by_language = _wordings(settings)
    try:
        tune = Subject(record.get("text", "").strip())
    except InputError as error:
        return [], [Drop(record["source"], record["id"], "is no tune to ask about", str(error))]
    draw = random.Random(f"{seed}:{record['id']}")
    first = draw.randrange(len(by_language))
    tasks = draw.sample(settings.tasks, len(settings.tasks))
    records: list[Record] = []
    while tasks and len(records) < settings.samples_per_tune:
        task = tasks.pop(0)
        if settings.language_shares:
            language = _drawn(by_language, settings, draw)
        else:
            language = by_language[(first + len(records)) % len(by_language)]
        turns = _turns(task, tune, language, settings.max_turns, draw)
        if turns:
            records.append(_conversation(record, len(records), task, language.language, turns))
            tasks.append(task)
    reasons = []
    if tune.unreadable_chords and ABOUT_CHORDS & set(settings.tasks):
        detail = f"no request about its chords is made: {', '.join(tune.unreadable_chords)}"
        reasons.append(("has chord symbols that cannot be read", shorten(detail, 200)))
    elif not records:
        reasons.append(("fits no task", f"the tune offers nothing for {', '.join(settings.tasks)}"))
    source, name = record["source"], record["id"]
    return records, [Drop(source, name, *reason, is_fault=False) for reason in reasons]


def find_problems(settings: InstructionSettings) -> list[Problem]:
    """Return the problems of settings, including phrasings.

    Raises:
        InputError: a file of phrasings has a mistake.
    """
    problems = []
    for task in settings.tasks:
        if task not in TASKS:
            near = get_close_matches(task, TASKS, n=1, cutoff=0.0)[0]
            rule = f"is no instruction family; did you mean {near}? There are {', '.join(TASKS)}"
            problems.append(Problem(f"{_KEY}.tasks", task, rule))
    if not settings.tasks:
        rule = f"names no instruction family; there are {', '.join(TASKS)}"
        problems.append(Problem(f"{_KEY}.tasks", "[]", rule))
    counts = {name: getattr(settings, name) for name in ("samples_per_tune", "max_turns")}
    problems += [
        Problem(f"{_KEY}.{name}", value, "is below 1")
        for name, value in counts.items()
        if value < 1
    ]
    if (DIALOGUE in settings.tasks) != (settings.max_turns > 1):
        rule = f"must be above 1 when, and only when, {_KEY}.tasks has {DIALOGUE}"
        problems.append(Problem(f"{_KEY}.max_turns", settings.max_turns, rule))
    available = languages(settings.phrasings)
    if not settings.languages:
        rule = f"names no language; there are {', '.join(available)}"
        problems.append(Problem(f"{_KEY}.languages", "[]", rule))
    for language in settings.languages:
        problems += _uncovered(language, settings)
    return problems


def _uncovered(language: str, settings: InstructionSettings) -> list[Problem]:
    """Return a problem if families have no wordings in a language."""
    language_wordings = wordings(language, settings.phrasings)
    missing = []
    for task in settings.tasks:
        if task in TASKS and not language_wordings.of(task, "requests"):
            missing.append(f"{task}.requests")
        if (
            task in FAMILIES
            and FAMILIES[task].answer == "words"
            and not language_wordings.of(task, "answers")
        ):
            missing.append(f"{task}.answers")
    if not missing:
        return []
    rule = f"has no wordings for {', '.join(missing)}"
    fix = f"add them to {language}.toml in the folder {_KEY}.phrasings"
    return [Problem(f"{_KEY}.languages", language, rule, fix)]


@lru_cache(maxsize=16)
def _wordings(settings: InstructionSettings) -> tuple[Wordings, ...]:
    """Return the wordings of each language, after checking the settings."""
    if problems := find_problems(settings):
        raise ConfigError(problems)
    return tuple(wordings(language, settings.phrasings) for language in settings.languages)


def _drawn(
    by_language: Sequence[Wordings], settings: InstructionSettings, draw: random.Random
) -> Wordings:
    """Draw the language of a conversation by its share."""
    shares = dict(settings.language_shares)
    weights = [shares[wordings.language] for wordings in by_language]
    return draw.choices(by_language, weights)[0]


def _turns(
    task: str, tune: Subject, language: Wordings, max_turns: int, draw: random.Random
) -> list[InstructionTurn] | None:
    if task == DIALOGUE:
        return dialogue(tune, language, max_turns, draw)
    turn = ask(task, tune, language, draw)
    return [turn] if turn else None


def _conversation(
    record: Record, number: int, task: str, language: str, turns: list[InstructionTurn]
) -> Record:
    conditions = {name: value for turn in turns for name, value in turn.conditions.items()}
    if len(turns) > 1:
        conditions["questions"] = ", ".join(turn.task for turn in turns)
    return {
        "id": f"{record['id']}#{number}",
        "source": record["source"],
        "task": task,
        "language": language,
        "conditions": conditions,
        "messages": [
            {"role": role, "content": content}
            for turn in turns
            for role, content in (("user", turn.request), ("assistant", turn.answer))
        ],
    }
