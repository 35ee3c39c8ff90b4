"""What a request says about how its texts are written: sampling, grammar, seed, stops, stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from musicllm.inference.requests import SamplingSettings
from musicllm.music.grammar import TuneRules
from musicllm.music.grammar.demands import problems
from musicllm.schema import GenerationConfig, TuneConfig
from musicllm.schema.keys import settings
from musicllm.serve.api.bodies import Fields, near
from musicllm.serve.api.errors import BadRequestError
from musicllm.serve.api.fields import LABELS
from musicllm.serve.api.service import Service
from musicllm.serve.chat.answering import MAX_SEED

MAX_CHOICES = 128
"""Of `n`, as in OpenAI's protocol."""

MAX_STOPS = 16
MAX_STOP_LENGTH = 1000

_GENERATION = settings(GenerationConfig)
_SAMPLING = [field.name for field in fields(SamplingSettings) if field.name != "max_new_tokens"]
_TUNE = settings(TuneConfig)


@dataclass(frozen=True)
class Options:
    """See the module.

    Attributes:
        settings: of the sampling.
        states_length: whether the request says how long a text may be.
        seed: None for the next number of the server.
        num_choices: texts for each prompt.
        stops: strings at which a text ends.
        rules: of the tunes; None without the grammar.
        is_streamed: the answer is sent as it is written.
        includes_usage: a stream ends with the counts of tokens.
    """

    settings: SamplingSettings
    states_length: bool
    seed: int | None
    num_choices: int
    stops: tuple[str, ...]
    rules: TuneRules | None
    is_streamed: bool
    includes_usage: bool

    def settings_of(self, max_new_tokens: int) -> SamplingSettings:
        """Return the settings for a text of at most so many tokens."""
        return replace(self.settings, max_new_tokens=max_new_tokens)

    def room(self, num_tokens: int | None, context: int | None, param: str) -> int:
        """Return how long a text may be; without `max_tokens`, as far as the context goes.

        Args:
            num_tokens: of the prompt; None if the engine cannot say.
            context: of the model; likewise.
            param: field with the prompt.

        Raises:
            BadRequestError: the context has no room for prompt and text.
        """
        longest = self.settings.max_new_tokens
        if num_tokens is None or context is None or num_tokens + longest <= context:
            return longest
        room = context - num_tokens
        if room > 0 and not self.states_length:
            return room
        rule = f"{param} has {num_tokens:,} tokens, and the context of the model {context:,}"
        if room > 0:
            rule = f"{rule}, which leaves {room:,}; write at most max_tokens={room}"
        else:
            rule = f"{rule}, which the answer shares; shorten it"
        if param == "messages":
            rule = f'{rule}, or write long_conversation="drop_oldest"'
        raise BadRequestError(rule, param, code="context_length_exceeded")


def read_options(fields: Fields, service: Service) -> Options:
    """Return the options of a request, with the server's settings where it says nothing.

    Raises:
        BadRequestError: a value has the wrong type or range.
    """
    for name in LABELS:
        fields.text(name)
    usual = service.sampling
    values = {name: fields.of(name, _GENERATION[name], getattr(usual, name)) for name in _SAMPLING}
    longest = _longest(fields, service)
    limit = min(usual.max_new_tokens, service.settings.max_new_tokens)
    is_streamed = fields.flag("stream")
    return Options(
        settings=replace(usual, **values, max_new_tokens=longest or limit),
        states_length=longest is not None,
        seed=fields.whole("seed", 0, MAX_SEED, 0) if fields.has("seed") else None,
        num_choices=fields.whole("n", 1, MAX_CHOICES, 1),
        stops=_stops(fields),
        rules=_rules(fields, service),
        is_streamed=is_streamed,
        includes_usage=_includes_usage(fields, is_streamed),
    )


def _longest(fields: Fields, service: Service) -> int | None:
    names = [name for name in ("max_tokens", "max_completion_tokens") if fields.has(name)]
    if len(names) == 2 and fields.raw(names[0]) != fields.raw(names[1]):
        raise BadRequestError(f"{' and '.join(names)} differ; write one of them", names[0])
    if not names:
        return None
    most = service.settings.max_new_tokens
    value = fields.raw(names[0])
    if isinstance(value, int) and not isinstance(value, bool) and value > most:
        raise fields.error(names[0], f"is more than the {most:,} tokens that this server writes")
    return fields.whole(names[0], 1, most, most)


def _stops(fields: Fields) -> tuple[str, ...]:
    value = fields.raw("stop")
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise fields.error("stop", "must be a string that is not empty, or a list of such strings")
    if len(stops) > MAX_STOPS or any(len(stop) > MAX_STOP_LENGTH for stop in stops):
        rule = f"has more than {MAX_STOPS} strings, or one of more than {MAX_STOP_LENGTH:,} letters"
        raise fields.error("stop", rule)
    return tuple(stops)


def _includes_usage(fields: Fields, is_streamed: bool) -> bool:
    streaming = fields.child("stream_options")
    if streaming is None:
        return False
    if not is_streamed:
        raise BadRequestError("stream_options is only for stream=true", "stream_options")
    for name in streaming.names():
        if name not in ("include_usage", "include_obfuscation"):
            raise streaming.error(name, "is no option; there is include_usage")
    if streaming.flag("include_obfuscation"):
        raise streaming.error("include_obfuscation", "is not served: streams are not padded")
    return streaming.flag("include_usage")


def _rules(fields: Fields, service: Service) -> TuneRules | None:
    """Return the rules of tunes: those of the server, and before them the request's own."""
    tune = fields.child("tune")
    uses_grammar = service.uses_grammar or tune is not None
    if "grammar" in fields.names():
        uses_grammar = fields.has("grammar")
        if uses_grammar and fields.raw("grammar") != "abc":
            raise fields.error("grammar", 'must be "abc" or null')
    if tune is None:
        return service.rules if uses_grammar else None
    if not uses_grammar:
        raise BadRequestError('tune holds only with grammar="abc", and grammar is null', "tune")
    rules = TuneRules.of({**vars(service.rules), **_tune(tune, service.rules)})
    for problem in problems(rules, "tune"):
        raise BadRequestError(str(problem), problem.key)
    return rules


def _tune(tune: Fields, usual: TuneRules) -> Mapping[str, Any]:
    names = list(tune.names())
    for name in names:
        if name not in _TUNE:
            raise tune.error(name, f"is no rule of a tune{near(name, _TUNE)}")
        if not tune.has(name) and not _TUNE[name].nullable:
            raise tune.error(name, "must be set, or left out")
    return {
        name: tune.of(name, _TUNE[name], None if tune.raw(name) is None else getattr(usual, name))
        for name in names
    }
