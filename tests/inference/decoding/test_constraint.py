"""Tokens under the grammar: any vocabulary, the model's own distribution, an end in time."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from math import sqrt

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError, StageError
from musicllm.inference.decoding.choosing import choose
from musicllm.inference.decoding.constraint import Constraint, Progress, Vocabulary
from musicllm.inference.decoding.processor import GrammarLogitsProcessor
from musicllm.inference.decoding.spelling import Spelling, completed
from musicllm.inference.engines.local import LocalEngine
from musicllm.inference.requests import SamplingSettings, WritingRequest
from musicllm.music import abc
from musicllm.music.grammar import Grammar, TuneRules
from tests.inference.decoding.vocabularies import pieces, whole_bars
from tests.model import families
from tests.models import letter_tokenizer

KINDS = [whole_bars, pieces, families.tokenizer]
FLAT = SamplingSettings(4.0, 0, 1.0, 1.0, 90)
"""Of a model with random weights: nearly any token, so the grammar decides."""

A_TUNE = TuneRules(required=True)
HEAD = "Here it is:\n\nX:1\nM:6/8\nL:1/8\nK:D\n"

Make = Callable[[], PreTrainedTokenizerBase]


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    encoder = Encoder(tokenizer)
    return Vocabulary(Spelling.of(encoder.lexicon), encoder.end_ids)


def progress_of(tokenizer: PreTrainedTokenizerBase, text: str, budget: int = 500) -> Progress:
    state = Grammar(TuneRules()).start(text)
    return Constraint(vocabulary_of(tokenizer), state, budget, begins_text=not text).begin()


def engine_of(tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> LocalEngine:
    model = families.build("llama", attention=None, vocab_size=len(tokenizer), seed=seed)
    return LocalEngine(model, tokenizer, batch_size=8)


def is_right(text: str) -> bool:
    """Tell whether every tune of a text parses and all of its bars fit."""
    tunes = [text[tune.start : tune.stop] for tune in abc.find_tunes(text)]
    checks = [abc.check(abc.parse(tune)) for tune in tunes if tune.startswith("X")]
    return bool(tunes) and all(check.num_fitting == check.num_bars for check in checks)


@pytest.mark.parametrize("make", KINDS)
def test_every_tune_is_right_and_ends_in_time_whatever_the_model_would_write(make: Make) -> None:
    tokenizer = make()
    engine = engine_of(tokenizer)
    requests = [
        WritingRequest(None, HEAD, FLAT, seed, A_TUNE)
        if seed % 2
        else WritingRequest(({"role": "user", "content": "A tune."},), None, FLAT, seed, A_TUNE)
        for seed in range(12)
    ]
    for index, completion in engine.write(requests):
        text = (requests[index].text or "") + completion.text
        state = Grammar(A_TUNE).start(text)
        assert state.may_end, text
        assert completion.num_new_tokens <= FLAT.max_new_tokens
        assert is_right(text), text


@pytest.mark.parametrize(
    "rules",
    [
        TuneRules(required=True, form="ABACA", num_bars=20),
        TuneRules(required=True, num_bars=8, chords=("G", "Em", "Am", "D7", "G")),
    ],
)
def test_a_tune_of_many_bars_ends_in_time(rules: TuneRules) -> None:
    engine = engine_of(KINDS[0]())
    free = Grammar(rules).start()
    budget = len(free.ending()) + 40  # hardly more than the shortest tune
    settings = dataclasses.replace(FLAT, max_new_tokens=budget)
    ask = ({"role": "user", "content": "A tune."},)
    requests = [WritingRequest(ask, None, settings, seed, rules) for seed in range(2)]
    for _, completion in engine.write(requests):
        assert Grammar(rules).start(completion.text).may_end, completion.text
        assert completion.num_new_tokens <= budget
        assert is_right(completion.text), completion.text


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "text", ["", "Well. ", "X:1\nT:", HEAD, HEAD + "|:DFA d2f|(3efe", "X:1\nK:"]
)
def test_allowed_tokens_are_those_that_are_accepted(make: Make, text: str) -> None:
    tokenizer = make()
    progress = progress_of(tokenizer, text)
    every = range(len(tokenizer))
    assert progress.allowed() == {token for token in every if progress.copy().accept(token)}
    draw = random.Random(1)
    for _ in range(6):
        ends = set(Encoder(tokenizer).end_ids)
        token = draw.choice(sorted(progress.allowed() - ends))
        assert progress.accept(token)
    assert progress.allowed() == {token for token in every if progress.copy().accept(token)}


@pytest.mark.parametrize("make", KINDS)
def test_allowed_tokens_are_those_whose_text_the_grammar_reads(make: Make) -> None:
    tokenizer = make()
    progress = progress_of(tokenizer, HEAD)
    state = Grammar(TuneRules()).start(HEAD)
    core = Encoder(tokenizer).lexicon.core
    anchor = core.token_to_id("D")
    expected = set()
    for token in range(len(tokenizer)):
        text = core.decode([anchor, token], skip_special_tokens=True)[1:]
        if text and "\N{REPLACEMENT CHARACTER}" not in text and state.after(text) is not None:
            expected.add(token)
    assert progress.allowed() == expected
    assert len(expected) > 20


def test_tokens_over_bar_lines_and_into_new_lines_are_allowed_where_bars_fit() -> None:
    tokenizer = whole_bars()
    texts = {token: tokenizer.decode([token]) for token in range(len(tokenizer))}
    over = {token for token, text in texts.items() if "|" in text.strip(" |]\n")}
    lines = {token for token, text in texts.items() if "\n" in text[:-1]}
    early = progress_of(tokenizer, HEAD + "DFA d2f|DFA d2").allowed()
    full = progress_of(tokenizer, HEAD + "DFA d2f|DFA d2f").allowed()
    assert not any(texts[token].lstrip()[:1] in set("ABCDEFGabcdefgz") for token in full)
    assert any(texts[token][0] in "ABCDEFG" for token in early)
    assert any(texts[token].startswith(" |") and texts[token][-1] in "ABCDEFG " for token in full)
    assert over & (early | full)
    assert lines & (early | full)


@pytest.mark.parametrize("settings", [SamplingSettings(1.0, 0, 1.0, 1.0, 9),
                                      SamplingSettings(0.8, 60, 0.97, 1.0, 9)])  # fmt: skip
def test_the_distribution_is_the_models_own_renormalised(settings: SamplingSettings) -> None:
    tokenizer = whole_bars()
    progress = progress_of(tokenizer, HEAD + "DFA ", 400)
    allowed = sorted(progress.allowed())
    scores = torch.randn(1, len(tokenizer), generator=torch.Generator().manual_seed(3)) * 3
    scores[:, allowed] += 2
    number = 4000
    draws = [(seed, 0) for seed in range(number)]
    drawn, race = choose(scores.expand(number, -1), [settings] * number, draws)
    tokens = []
    for seed, token in enumerate(drawn):
        one = progress.copy()
        tokens.append(token if one.accept(token) else one.first(race(seed)))
    assert set(tokens) <= set(allowed)
    own = scores / settings.temperature
    if settings.top_k:  # the model's distribution is the filtered one
        kept = race(0).ids[race(0).keys > float("-inf")]
        own = torch.full_like(own, float("-inf")).index_copy(1, kept, own[:, kept])
    expected = own[0, allowed].softmax(-1).tolist()
    for token, probability in zip(allowed, expected, strict=True):
        deviation = sqrt(probability * (1 - probability) / number)
        assert abs(tokens.count(token) / number - probability) <= 4.5 * deviation + 1e-9


@pytest.mark.parametrize("make", KINDS)
def test_prose_is_free(make: Make) -> None:
    """Every token may follow but bytes that are no character, and what begins no right tune."""
    tokenizer = make()
    spelling = vocabulary_of(tokenizer).spelling
    forbidden = set(range(len(tokenizer))) - progress_of(tokenizer, "No tune, ").allowed()
    assert all(
        spelling.data[token] and (spelling.texts[token] is None or "X:" in spelling.texts[token])
        for token in forbidden
    )
    assert len(forbidden) < len(tokenizer) / 2


def test_a_vocabulary_that_cannot_spell_a_note_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        engine_of(letter_tokenizer())._vocabulary  # noqa: B018
    assert "has no token for '\\n', ':', '|', '/'" in str(caught.value)
    assert "generation.grammar=null" in str(caught.value)


def test_a_budget_without_room_for_a_tune_is_refused_before_anything_is_written() -> None:
    engine = engine_of(whole_bars())
    settings = SamplingSettings(1.0, 0, 1.0, 1.0, 6)
    request = WritingRequest(None, "Here:\n", settings, 0, A_TUNE)
    with pytest.raises(InputError, match="max_new_tokens=6 is less than the"):
        next(engine.write([request]))


def test_a_state_that_no_token_follows_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(whole_bars())
    monkeypatch.setattr(Progress, "accept", lambda *_: False)
    request = WritingRequest(None, HEAD, FLAT, 0, TuneRules())
    with pytest.raises(StageError, match="as the grammar demands"):
        list(engine.write([request]))


@pytest.mark.parametrize("make", [whole_bars, pytest.param(pieces, marks=pytest.mark.slow)])
def test_generate_of_transformers_writes_right_tunes_with_the_processor(make: Make) -> None:
    tokenizer = make()
    model = families.build("llama", attention=None, vocab_size=len(tokenizer))
    encoder = Encoder(tokenizer)
    prompt = encoder.prompt([{"role": "user", "content": "A tune."}])
    processor = GrammarLogitsProcessor(
        tokenizer, A_TUNE, prompt_length=len(prompt), max_new_tokens=80
    )
    config = GenerationConfig(
        do_sample=True, temperature=4.0, top_k=0, max_new_tokens=80,
        eos_token_id=encoder.end_ids, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    texts = model.generate(
        torch.tensor([prompt] * 2), generation_config=config, logits_processor=[processor]
    )
    for ids in texts[:, len(prompt) :].tolist():
        text = encoder.decode(ids)
        assert Grammar(A_TUNE).start(text).may_end
        assert is_right(text)


def test_every_beginning_of_a_character_can_be_completed() -> None:
    leads = [*range(0xC2, 0xF5)]
    for lead in leads:
        tail = bytes([lead])
        assert len((tail + completed(tail)).decode()) == 1
    for character in "é中🎵":
        data = character.encode()
        for end in range(1, len(data)):
            assert len((data[:end] + completed(data[:end])).decode()) == 1


def test_endings_grow_no_faster_than_the_budget_assumes() -> None:
    from musicllm.inference.decoding.constraint import GROWTH
    from tests.helpers import make_tune

    worst = 0
    for rules in (TuneRules(), TuneRules(num_bars=8, required=True)):
        for seed in range(4):
            state = Grammar(rules).start("")
            before = len(state.ending())
            for character in make_tune(seed):
                after = state.after(character)
                if after is None:
                    break
                state = after
                worst = max(worst, len(state.ending()) - before)
                before = len(state.ending())
    assert 0 < worst <= GROWTH
