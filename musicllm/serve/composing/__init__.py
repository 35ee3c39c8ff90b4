"""Requests for tunes from fields rather than free words: a family, a key, a metre, a form ...

A brief holds the fields. It becomes the words in which models were trained to be asked, the
conditions of such a request, and rules of the grammar; fields that contradict each other are
refused by name, and for every field there is a list of the values that contradict nothing.
"""

from musicllm.serve.composing.brief import Brief, fields_of
from musicllm.serve.composing.complaints import Complaint, complaints
from musicllm.serve.composing.meeting import Met, met, right_answer
from musicllm.serve.composing.offers import Offer, offers
from musicllm.serve.composing.wishes import conditions, request, rules

__all__ = [
    "Brief",
    "Complaint",
    "Met",
    "Offer",
    "complaints",
    "conditions",
    "fields_of",
    "met",
    "offers",
    "request",
    "right_answer",
    "rules",
]
