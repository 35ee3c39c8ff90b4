"""The static grammar, as Python reads it, as llguidance reads it, and as llama.cpp reads it."""

from __future__ import annotations

import importlib.util
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from musicllm.music.abc import AbcError, Tune, canonical, check, parse, read_book
from musicllm.music.grammar.static import abc_gbnf, abc_lark, tune_pattern
from musicllm.music.grammar.static.notation import Rule, chars, gbnf, lark, no_chars, regex, some
from tests.music.tiny_gguf import write_tiny_gguf

HEAD = "X:1\nT:Tune\nM:4/4\nL:1/8\nK:C\n"
BOOKS = ("oneills1850", "airdsAirs", "ryansMammoth")
LEGAL = [
    "CDEF GABc|",
    "|:C2D2 E>F G<A|[CEG]2- [CEG]2 z4:|\n",
    '|: "Am7/E"A>B {cd}(ef) (3gab (3:2:4cdefg |1 A8 :|2 B8 |]',
    "[K:Em]E8|[M:6/8][L:1/16]E12||\nM:2/4\nK:D dor\n^F,,4 _b'4::A/B//c3/2|",
    "!fermata!A8|~B .c Td uv z4|Z4|x8|",
    "C8|\\\nD8|\nW:The end\nE8 :|",
]
BROKEN = {
    "no bar line at the end": "CDEF GABc",
    "an open chord": "[CE|",
    "an empty chord": "[]C|",
    "open quotes": '"Am C|',
    "open grace notes": "{cd e|",
    "words": "Here is your tune: CDEF|",
    "a blank line": "C8|\n\nD8|",
    "an ending without a bar line": "C8 1 D8|",
    "a length before its note": "2C|",
    "an accidental before no note": "^|",
    "broken rhythm before no note": "C> |",
    "a tuplet before no note": "(3 |",
    "a comment": "C8| % great",
    "a directive": "%%MIDI program 1\nC8|",
    "an unknown metre": "[M:fast]C8|",
    "an unknown unit length": "[L:1/7]C8|",
    "an unknown key": "[K:X]C8|",
}


@cache
def tunes() -> list[Tune]:
    found = importlib.util.find_spec("music21")
    assert found is not None, "music21 is a dependency"
    assert found.submodule_search_locations, "music21 is a package"
    corpus = Path(found.submodule_search_locations[0]) / "corpus"
    files = [path for book in BOOKS for path in sorted((corpus / book).glob("*.abc"))]
    return [tune for path in files for tune in read_book(path) if isinstance(tune, Tune)]


def canonical_tunes(every: int) -> Iterator[str]:
    for tune in tunes()[::every]:
        try:
            yield canonical(parse(tune.text))
        except AbcError:
            continue


def legal(text: str) -> bool:
    return tune_pattern().fullmatch(text) is not None


@pytest.mark.parametrize("every", [
    pytest.param(20, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow),
])  # fmt: skip
def test_every_tune_of_the_books_in_canonical_form_is_accepted(every: int) -> None:
    refused = [text for text in canonical_tunes(every) if not legal(text)]
    assert refused == []


def test_nearly_every_tune_of_the_books_is_accepted_as_printed() -> None:
    fitting = []
    for tune in tunes()[::10]:
        try:
            if not check(parse(tune.text)).faults and "%" not in tune.text:
                fitting.append(tune.text)
        except AbcError:
            continue
    share = sum(map(legal, fitting)) / len(fitting)
    assert len(fitting) > 200
    assert share > 0.93  # the others have signs of one editor, such as `k` and tabs


@pytest.mark.parametrize("body", LEGAL)
def test_legal_tunes(body: str) -> None:
    assert legal(HEAD + body)
    parse(HEAD + body)


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_tunes_are_refused(body: str) -> None:
    assert not legal(HEAD + body)


@pytest.mark.parametrize(
    "head", ["", "X:1\n", "K:C\n", "T:Tune\nX:1\nK:C\n", "X:one\nK:C\n", "X:1\nM:4/5\nK:C\n"]
)
def test_a_tune_begins_with_its_number_and_the_header_ends_with_its_key(head: str) -> None:
    assert not legal(head + "C8|")


def test_names_are_those_that_llama_cpp_reads() -> None:
    lines = abc_gbnf().splitlines()
    defined = [line.partition(" ::= ")[0] for line in lines]
    assert all(re.fullmatch("[a-z]+(?:-[a-z]+)*", name) for name in defined)
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]', " ", abc_gbnf())
    assert set(re.findall(r"[A-Za-z_-]+", bare)) == set(defined)
    assert len(defined) == len(set(defined))


def test_one_rule_in_every_notation() -> None:
    rules = {
        "two-words": some(chars("a-c", "]", "-") + Rule("other")),
        "other": no_chars("\n") | '"',
    }
    assert gbnf(rules, "two-words") == (
        'root ::= two-words\ntwo-words ::= ([a-c\\]-] other)*\nother ::= [^\\n] | "\\""\n'
    )
    assert lark({"other": rules["other"]}, {"two-words": rules["two-words"]}, "two-words") == (
        'start: two_words\ntwo_words: (/[a-c\\]\\-]/ OTHER)*\nOTHER: /[^\\n]/ | "\\""\n'
    )
    assert regex(rules, "two-words").fullmatch('a]-x]"')
    assert not regex(rules, "two-words").fullmatch("dx")


def mutations(text: str, count: int) -> Iterator[str]:
    chance = random.Random(1)
    for _ in range(count):
        place = chance.randrange(len(text))
        char = chance.choice('ABc|[]"{}():>-1/2^_=z \n!~XKM%&')
        yield text[:place] + char + text[place + chance.randrange(2) :]


@pytest.fixture(scope="module")
def llguidance_accepts() -> Callable[[str], bool]:
    llguidance = pytest.importorskip("llguidance")
    tokenizer = llguidance.LLTokenizer("byte")
    fresh = llguidance.LLMatcher(tokenizer, abc_lark())
    assert not fresh.is_error(), fresh.get_error()

    def accepts(text: str) -> bool:
        matcher = fresh.deep_copy()
        ids = tokenizer.tokenize_str(text)
        return matcher.validate_tokens(ids) == len(ids) and all(
            [matcher.consume_tokens(ids), matcher.is_accepting()]
        )

    return accepts


def test_llguidance_accepts_tunes_of_the_books(llguidance_accepts: Callable[[str], bool]) -> None:
    texts = list(canonical_tunes(100))
    assert len(texts) > 30
    assert all(map(llguidance_accepts, texts))


def test_llguidance_refuses_what_is_broken(llguidance_accepts: Callable[[str], bool]) -> None:
    assert all(llguidance_accepts(HEAD + body) for body in LEGAL)
    assert [name for name, body in BROKEN.items() if llguidance_accepts(HEAD + body)] == []


def test_llguidance_agrees_with_python(llguidance_accepts: Callable[[str], bool]) -> None:
    texts = list(mutations(next(canonical_tunes(1)), 200))
    assert [llguidance_accepts(text) for text in texts] == list(map(legal, texts))
    assert 20 < sum(map(legal, texts)) < 180


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of llama.cpp with a model of random weights, which writes any character."""
    xllamacpp = pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_gguf(path, "XMLKTC:1/8 |ABb[](')2<\"maeoydrcinxjph")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.warmup = 1024, 1, False
    params.cpuparams.n_threads = 1
    return xllamacpp.Server(params)


def complete(server: Any, grammar: str, seed: int) -> Any:
    sampling = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": seed}
    return server.handle_completions(
        {"prompt": "X", "n_predict": 900, "grammar": grammar, **sampling}
    )


def test_llama_cpp_writes_only_legal_tunes(llama_cpp: Any) -> None:
    """Random characters, so it is the grammar alone that makes tunes of them."""
    choices = [complete(llama_cpp, abc_gbnf(), seed)["choices"][0] for seed in range(6)]
    ended = [choice["text"] for choice in choices if choice["finish_reason"] == "stop"]
    assert len(ended) >= 2
    assert all(map(legal, ended))
    free = llama_cpp.handle_completions({"prompt": "X", "n_predict": 100, "temperature": 1.0})
    assert not legal(free["choices"][0]["text"])


def test_llama_cpp_refuses_a_grammar_with_an_underscore(llama_cpp: Any) -> None:
    answer = complete(llama_cpp, abc_gbnf().replace("key-field", "key_field"), 0)
    assert "failed to parse grammar" in answer["error"]["message"]
