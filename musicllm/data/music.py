"""Checks the tunes in a record's text or messages, and mends what has one possible meaning.

A tune has to parse (which holds every note to MIDI's range, `music.abc`) and nearly all its bars to
be as long as its metre says. Excerpts inside a text that have fewer bars than a tune needs only
have to parse, since a motif may break off. A record that is one bare tune must also be long enough
to be music, and may be brought into the normal form. Repairs: `music.abc.repair`. Which tunes there
are: `music.abc.finder`. Text round a tune is never touched, nor is a tune in quotation marks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from musicllm.data.records import Drop, Record, texts_of
from musicllm.data.settings import limits_of
from musicllm.music.abc.canonical import canonical
from musicllm.music.abc.checks import check
from musicllm.music.abc.finder import MARK, TuneSpan, find_tunes, may_hold_tune
from musicllm.music.abc.limits import AbcError
from musicllm.music.abc.model import Score
from musicllm.music.abc.omissions import omissions
from musicllm.music.abc.parser import parse
from musicllm.music.abc.repair import repair
from musicllm.music.analysis.chords import chords, unreadable_chords
from musicllm.schema import MusicConfig

_NOTHING = re.compile(rf"(?:\s|{MARK})*")
_NUMBERED = re.compile(r"\s*X:[ \t]*[0-9]*[ \t]*(?:\r?\n[ \t]*(?:[A-Za-z+]:|%)|\s*\Z)")
_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n")


class Examined(NamedTuple):
    """A record that stays.

    Attributes:
        record: as it was, or with its tunes mended.
        scores: its tunes that could be read, in order.
        repairs: names, one entry for each tune that each was made on.
        faults: reasons, one entry for each tune that stays faulty.
        left_out: names, one entry for each tune whose normal form leaves something so named out.
        titles: first `T:` of each of the scores, as it was read; empty where there is none.
        num_bars: bars of all scores.
        num_fitting: of them, those that are as long as their metre says, or excused.
        num_notes: notes and chords of all scores.
    """

    record: Record
    scores: tuple[Score, ...]
    repairs: tuple[str, ...]
    faults: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    num_bars: int = 0
    num_fitting: int = 0
    num_notes: int = 0


class Description(NamedTuple):
    """What is counted about a tune.

    Attributes:
        key: its first key.
        metre: its first metre.
        rhythm: its type, such as `reel`.
        num_chords: chord symbols that were read.
        unreadable_chords: text over its notes that may be a chord and cannot be read.
    """

    key: str
    metre: str
    rhythm: str
    num_chords: int
    unreadable_chords: tuple[str, ...]


def describe(score: Score) -> Description:
    """Return the key and metre that a tune starts in, its `R:` in lower case, and its chords."""
    rhythm = " ".join(score.header.get("R", "").lower().split())
    has_chords = '"' in score.source
    return Description(
        score.key.name,
        score.metre_text,
        rhythm or "none named",
        len(chords(score)) if has_chords else 0,
        unreadable_chords(score) if has_chords else (),
    )


def is_bare_tune(record: Record) -> bool:
    """Say whether a record is one tune and nothing else."""
    return "text" in record and _is_bare(record["text"], find_tunes(record["text"]))


def examine(record: Record, policy: MusicConfig) -> Examined | Drop:
    """Check the tunes of a record; mend, normalise, drop or count them as the policy says.

    A drop's reason is that of the first faulty tune, its detail says where the tune starts. Linear
    in the text: half a millisecond for a usual tune, a microsecond for a page without one.
    """
    texts = texts_of(record) if policy.check else []
    if not any(map(may_hold_tune, texts)):
        return Examined(record, (), (), (), ())
    mended, tunes = [], []
    for number, text in enumerate(texts, start=1):
        spans = find_tunes(text)
        if "text" in record and _is_bare(text, spans):
            tunes.append(_examine_tune(text.strip(), policy, is_bare=True))
            mended.append(tunes[-1].text if tunes[-1].text != text.strip() else text)
        else:
            place = f"message {number}, " if "messages" in record else ""
            new_text, inner = _examine_text(text, spans, place, policy)
            mended.append(new_text)
            tunes += inner
    faults = [tune.fault for tune in tunes if tune.fault]
    readable = [tune for tune in tunes if tune.score]
    if faults and policy.on_fault == "drop":
        return Drop(record["source"], record["id"], *faults[0])
    return Examined(
        record if mended == texts else _with_texts(record, mended),
        tuple(tune.score for tune in readable if tune.score),
        tuple(name for tune in tunes for name in tune.repairs),
        tuple(reason for reason, _ in faults),
        tuple(name for tune in tunes for name in tune.left_out),
        tuple(tune.title for tune in readable),
        *map(sum, zip(*(tune.size for tune in readable), strict=True)),
    )


class _Size(NamedTuple):
    """How much music a tune is; see `Examined`."""

    num_bars: int
    num_fitting: int
    num_notes: int


class _Tune(NamedTuple):
    """What became of one tune; `fault` is a reason and its detail."""

    text: str
    score: Score | None
    repairs: tuple[str, ...]
    fault: tuple[str, str] | None
    left_out: tuple[str, ...] = ()
    title: str = ""
    size: _Size = _Size(0, 0, 0)


def _is_bare(text: str, spans: list[TuneSpan]) -> bool:
    """Say whether a text is one tune and nothing else, be it a tune that cannot be read."""
    if len(spans) == 1 and not spans[0].quoted:
        around = text[: spans[0].start], text[spans[0].stop :]
        if all(map(_NOTHING.fullmatch, around)):
            return True
    if len(spans) > 1 or not _NUMBERED.match(text) or _BLANK_LINE.search(text.strip()):
        return False
    return not spans or (not text[: spans[0].start].strip() and "|" in text[spans[0].stop :])


def _examine_text(
    text: str, spans: list[TuneSpan], place: str, policy: MusicConfig
) -> tuple[str, list[_Tune]]:
    """Examine the tunes inside a text, and return it with those mended that do not stand quoted."""
    pieces, tunes, done = [], [], 0
    for span in spans:
        raw = text[span.start : span.stop]
        tune = _examine_tune(raw, policy, is_bare=False)
        if tune.fault:
            line = text.count("\n", 0, span.start) + 1
            reason, detail = tune.fault
            tune = tune._replace(fault=(reason, f"tune in {place}line {line}: {detail}"))
        if span.quoted:
            tune = tune._replace(text=raw, repairs=())
        pieces += [text[done : span.start], tune.text]
        tunes.append(tune)
        done = span.stop
    return "".join([*pieces, text[done:]]), tunes


def _examine_tune(raw: str, policy: MusicConfig, is_bare: bool) -> _Tune:
    normalize = is_bare and policy.normalize
    limits = limits_of(policy)
    complete = is_bare and not normalize
    text, repairs = repair(raw, complete, limits) if policy.repair else (raw, ())
    try:
        score = parse(text, limits)
        title, size = score.header.get("T", ""), _size(score)
        fault = _fault(size, policy, is_bare)
        if not normalize:
            return _Tune(text, score, repairs, fault, (), title, size)
        text = canonical(score, limits=limits)
        again = score if fault else parse(text, limits)
        return _Tune(text, again, repairs, fault, omissions(score, limits), title, size)
    except AbcError as error:
        return _Tune(raw, None, (), ("does not parse", str(error)))


def _size(score: Score) -> _Size:
    report = check(score)
    num_notes = sum(bool(note.pitches) for bar in score.bars for note in bar.notes)
    return _Size(report.num_bars, report.num_fitting, num_notes)


def _fault(size: _Size, policy: MusicConfig, is_bare: bool) -> tuple[str, str] | None:
    if size.num_bars < policy.min_bars or size.num_notes < policy.min_notes:
        return (
            ("is too short", f"{size.num_bars} bars, {size.num_notes} notes") if is_bare else None
        )
    share_fitting = size.num_fitting / size.num_bars if size.num_bars else 0.0
    if share_fitting < policy.min_share_fitting:
        return "bars do not fit the metre", f"{size.num_fitting} of {size.num_bars} bars fit"
    return None


def _with_texts(record: Record, texts: list[str]) -> Record:
    if "text" in record:
        return {**record, "text": texts[0]}
    pairs = zip(record["messages"], texts, strict=True)
    return {**record, "messages": [{**message, "content": text} for message, text in pairs]}
