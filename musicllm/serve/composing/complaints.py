"""What is wrong with a brief: fields that are missing, that cannot be read, or that contradict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from musicllm.data.instructions import languages
from musicllm.music.analysis import terms_of
from musicllm.music.grammar import TuneRules
from musicllm.music.grammar.demands import problems
from musicllm.serve.composing import choices
from musicllm.serve.composing.brief import HEADER, Brief, fields_of
from musicllm.serve.composing.texts import fault_of_motif, fault_of_tune, num_bars_of
from musicllm.serve.composing.wishes import chord_symbols


class Complaint(NamedTuple):
    """What is wrong with one field.

    Attributes:
        field: its name.
        text: what is wrong, and what to do.
        is_missing: it has no value and needs one; else its value is wrong.
    """

    field: str
    text: str
    is_missing: bool = False


def complaints(brief: Brief, *, uses_grammar: bool) -> list[Complaint]:
    """Return everything that is wrong with a brief; nothing for one that can be written.

    Cost: microseconds for what was read before, a millisecond for a new text.

    Args:
        brief: whatever its values.
        uses_grammar: whether its answer is written under the grammar.
    """
    return [
        *_language(brief),
        *_strange(brief, uses_grammar=uses_grammar),
        *_values(brief),
        *_agreement(brief),
        *_missing(brief),
    ]


def _language(brief: Brief) -> Iterator[Complaint]:
    known = languages(None)
    if brief.language not in known:
        yield Complaint("language", f"is none of {', '.join(known)}")


def _strange(brief: Brief, *, uses_grammar: bool) -> Iterator[Complaint]:
    """Yield fields that the family does not take."""
    uses = fields_of(brief.task, uses_grammar=uses_grammar)
    with_grammar = fields_of(brief.task, uses_grammar=True)
    for name in brief.stated:
        if name in uses:
            continue
        if name in with_grammar:
            text = f"is not stated in a request of {brief.task}; only the grammar keeps it"
        else:
            text = f"is no field of {brief.task}, which takes {', '.join(uses)}"
        yield Complaint(name, text)


def _values(brief: Brief) -> Iterator[Complaint]:
    """Yield values that mean nothing, by themselves or together, to the grammar."""
    rules = TuneRules(
        key=brief.key,
        metre=brief.metre,
        form=brief.form,
        num_bars=brief.num_bars,
        chords=chord_symbols(brief),
    )
    for problem in problems(rules, ""):
        yield Complaint(problem.key.lstrip("."), f"{problem.rule}; {problem.fix}")
    if brief.rhythm is not None and brief.rhythm not in choices.RHYTHMS:
        yield Complaint("rhythm", f"is none of {', '.join(choices.RHYTHMS)}")
    named = tuple(term.strip() for term in (brief.terms or "").split(",") if term.strip())
    if named and named not in choices.terms():
        known = "; ".join(", ".join(own) for own in choices.terms())
        yield Complaint("terms", f"names no form; there are {known}")
    elif named and (brief.form or "").isalpha() and terms_of(brief.form or "") != named:
        other = ", ".join(terms_of(brief.form or "")) or "without a name"
        yield Complaint("form", f"is {other}, and terms={brief.terms}")


def _agreement(brief: Brief) -> Iterator[Complaint]:
    """Yield fields that contradict each other in music."""
    metres = choices.RHYTHMS.get(brief.rhythm or "tune", choices.METRES)
    if brief.metre is not None and brief.rhythm is not None and brief.metre not in metres:
        yield Complaint("metre", f"is none of a {brief.rhythm}, which has {' or '.join(metres)}")
    if brief.motif is not None:
        wrong = {complaint.field for complaint in _values(brief)}
        key, metre = (None if name in wrong else getattr(brief, name) for name in ("key", "metre"))
        if fault := fault_of_motif(brief.motif, metre, key):
            yield Complaint("motif", fault)
    for name, text in (("opening", brief.opening), ("tune", brief.tune)):
        if text is not None and (fault := fault_of_tune(text, may_misfit=name == "tune")):
            yield Complaint(name, fault)
    if brief.opening and not fault_of_tune(brief.opening, may_misfit=False):
        num = num_bars_of(brief.opening)
        if brief.num_bars is not None and num > brief.num_bars:
            yield Complaint("num_bars", f"is less than the {num} bars of the opening")


def _missing(brief: Brief) -> Iterator[Complaint]:
    uses = fields_of(brief.task, uses_grammar=False)
    for name, use in uses.items():
        if use.needed and name not in brief.stated:
            yield Complaint(name, "is missing", is_missing=True)
    if brief.task == "form_motif_to_tune":
        if brief.form is None and brief.terms is None:
            yield Complaint("form", "is missing: name it in letters or in terms", is_missing=True)
        elif brief.form is not None and brief.terms is not None:
            yield Complaint("terms", "names the form once more; leave one of them out")
    may_have_header = "rhythm" in uses and not uses["rhythm"].needed
    stated = [name for name in HEADER if name in brief.stated]
    if may_have_header and stated:
        for name in ("key", "metre"):
            if name not in stated:
                text = f"is missing: with the {stated[0]} it makes the header"
                yield Complaint(name, text, is_missing=True)
