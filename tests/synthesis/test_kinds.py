"""The kinds translation, polish and self_cognition: what they ask, accept, reject and write."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from musicllm import config
from musicllm.data.settings import TranslationSettings
from musicllm.data.sources.readers.texts import FILE as MUSIC_TEXTS
from musicllm.data.translations import translated
from musicllm.errors import InputError
from musicllm.schema import SynthesisConfig
from musicllm.synthesis.assistants import FOLDER, read_assistant, read_conversations
from musicllm.synthesis.assistants.claims import claims
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.kind import SYNTHESES, Item, Rejected, Synthesis
from musicllm.synthesis.prompt_file import PromptFile

TUNE = "X:1\nL:1/8\nM:2/4\nK:D\n|: DEFG | A2 B2 :|"
OTHER = "X:2\nL:1/8\nM:2/4\nK:G\nGABc | d2 e2 |]"


@cache
def defaults(kind: str) -> SynthesisConfig:
    return config.load(["recipe=synthesize", f"synthesis={kind}"])[0].synthesis


def settings(kind: str, **changes: Any) -> SynthesisConfig:
    return replace(defaults(kind), **changes)


def opened(kind: str, **changes: Any) -> Synthesis[Any]:
    spec = settings(kind, **changes)
    assert not list(SYNTHESES[kind].problems(spec))
    return SYNTHESES[kind].open(spec, seed=0)


def asked(question: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "..."}]
    return {"id": question, "source": "s", "messages": messages}


def said(synthesis: Synthesis[Any], item: Item) -> str:
    """The conversation that asks about an item, after a round through JSON."""
    variables = json.loads(json.dumps(item.variables))
    messages = PromptFile(synthesis.prompt).messages(variables)
    return "\n".join(message["content"] for message in messages)


def test_each_wording_is_translated_once() -> None:
    records = [
        asked(f"Harmonise this melody:\n{TUNE}"),
        asked(f"Harmonise  this melody:\n\n{OTHER}"),
        asked("Write a reel over the chords Am, G, C."),
        asked("写一首里尔舞曲。"),
        asked(TUNE),
        {"id": "t", "source": "s", "text": "A text about music."},
    ]
    items = list(opened("translation").requests(records))
    assert [item.variables["text"] for item in items] == [
        "Harmonise this melody:\n[[1]]",
        "Write a reel over the chords [[1]].",
    ]
    assert [item.variables["num_records"] for item in items] == [2, 1]
    assert len({item.id for item in items}) == 2
    text = said(opened("translation"), items[0])
    assert "melody：旋律" in text
    assert "<text>\nHarmonise this melody:\n[[1]]\n</text>" in text
    assert TUNE not in text


QUESTION = "Harmonise this melody in D major, with 2 chords for each of the 16 bars:\n[[1]]"
ANSWER = "为这段D大调旋律配和弦，16个小节中每小节2个：\n[[1]]"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ANSWER, None),
        (f"<text>\n{ANSWER}\n</text>", None),
        ("", "is empty"),
        (QUESTION, "is not in Chinese"),
        (f"译文如下：\n{ANSWER}", "has other lines than the source"),
        (ANSWER.replace("[[1]]", "下面"), "loses, doubles or invents a mark of music"),
        (ANSWER.replace("：", "[[1]]："), "loses, doubles or invents a mark of music"),
        (ANSWER.replace("：", "A2 B2 | c4 |："), "has music that the source does not have"),
        (ANSWER.replace("大调", "小调"), "changes a key"),
        (ANSWER.replace("D大调", ""), "changes a key"),
        (ANSWER.replace("16", "18"), "changes a number"),
        (ANSWER.replace("和弦", "和弦G7"), "changes a chord or another symbol"),
        (ANSWER.replace("旋律", "东西"), "lacks a term of the glossary"),
        (ANSWER.replace("：", "，" + "要写得非常好听，" * 20 + "："), "has another length"),
    ],
)
def test_a_translation_keeps_what_matters(answer: str, reason: str | None) -> None:
    synthesis = opened("translation")
    (item,) = synthesis.requests([asked(QUESTION.replace("[[1]]", TUNE))])
    assert item.variables["text"] == QUESTION
    value = synthesis.parse(answer, item)
    assert (value.reason if isinstance(value, Rejected) else None) == reason
    if reason is None:
        assert value == ANSWER


def test_translations_are_a_table_that_the_data_read(tmp_path: Path) -> None:
    synthesis = opened("translation")
    (item,) = synthesis.requests([asked(QUESTION.replace("[[1]]", TUNE))])
    record = synthesis.record(item, synthesis.parse(ANSWER, item))
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"id": item.id, **record}) + "\n", encoding="utf-8")
    settings = TranslationSettings(path, (("zh", 1.0),))
    found = translated(asked(QUESTION.replace("[[1]]", OTHER)), settings, seed=0)
    assert found.record["messages"][0]["content"] == ANSWER.replace("[[1]]", OTHER)


def test_texts_are_translated_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    first = "The tune below is in D major.\n\n" + TUNE
    text = first + "\n\n" + "It has many bars. " * 8
    synthesis = opened("translation", part="text", max_chars=120)
    items = list(synthesis.requests([{"id": "r", "source": "s", "text": text}, asked("Hello")]))
    assert [item.id for item in items] == ["r#1", "r#2", "r#3"]
    assert "1 conversations are left alone" in capsys.readouterr().err
    answer = "下面的曲子是D大调。\n\n[[1]]"
    record = synthesis.record(items[0], synthesis.parse(answer, items[0]))
    expected = {"source": "s", "text": answer.replace("[[1]]", TUNE), "language": "zh"}
    assert record == expected


def test_translations_into_english_are_checked_as_well() -> None:
    synthesis = opened("translation", source_language="zh", target_language="en")
    (item,) = synthesis.requests([asked(f"为这段D大调旋律配上和弦：\n{TUNE}"), asked("Hello")])
    good = "Add chords to this melody in D major:\n[[1]]"
    assert "chord" in said(synthesis, item)
    assert synthesis.parse(good, item) == good
    assert synthesis.parse(good.replace("D major", "D minor"), item).reason == "changes a key"
    assert str(synthesis.parse(good.replace("chords", "notes"), item)) == (
        "lacks a term of the glossary: 和弦 must become chord or harmonise or harmonize"
    )


BACH = "Bach he was born in Eisenach in 1685 and write much music, for example:\n\n[[1]]"
BETTER = "Bach was born in Eisenach in 1685 and wrote much music, for example:\n\n[[1]]"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (BETTER, None),
        (BETTER.replace("Eisenach", "Leipzig"), "changes a name"),
        (BETTER.replace("1685", "1865"), "changes a number"),
        (BETTER.replace("[[1]]", ""), "loses, doubles or invents a mark of music"),
        (BETTER.replace("much music", "much music in C major"), "changes a key"),
        ("巴赫1685年生于爱森纳赫，写了很多音乐，例如：\n\n[[1]]", "is not in English"),
        ("Bach, Eisenach, 1685. [[1]]", "has another length"),
    ],
)
def test_a_polished_text_has_the_same_facts(answer: str, reason: str | None) -> None:
    synthesis = opened("polish")
    record = {"id": "r", "source": "s", "text": BACH.replace("[[1]]", TUNE)}
    (item,) = synthesis.requests([record, {"id": "t", "source": "s", "text": TUNE}])
    assert BACH in said(synthesis, item)
    value = synthesis.parse(answer, item)
    assert (value.reason if isinstance(value, Rejected) else None) == reason
    if reason is None:
        expected = {"source": "s", "text": BETTER.replace("[[1]]", TUNE)}
        assert synthesis.record(item, value) == expected


FUGUE = "Every minor key has its fugue, and a cadence ends it."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("In each minor key there is a fugue, which ends with a cadence.", None),
        ("In each major key there is a fugue, which ends with a cadence.",
         "changes a key: major is not in the source"),
        ("In each minor key there is a piece, which ends with a cadence.",
         "lacks a term of the glossary: fugue is missing"),
    ],
)  # fmt: skip
def test_a_polished_text_has_the_same_terms(answer: str, expected: str | None) -> None:
    synthesis = opened("polish")
    (item,) = synthesis.requests([{"id": "r", "source": "s", "text": FUGUE}])
    assert str(synthesis.parse(answer, item)) == (expected or answer)


def test_the_texts_that_come_along_pass_their_own_checks() -> None:
    lines = MUSIC_TEXTS.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    for language in ("en", "zh"):
        assert sum(is_in(text, language) for text in texts) == 22
    synthesis = opened("polish")
    records = [{"id": str(n), "source": "s", "text": text} for n, text in enumerate(texts)]
    items = list(synthesis.requests(records))
    assert [synthesis.parse(item.variables["text"], item) for item in items] == texts


def test_self_cognition_asks_in_both_languages_about_every_topic() -> None:
    synthesis = opened("self_cognition", num_samples=40)
    items = list(synthesis.requests([]))
    assert len(items) == len({item.id for item in items}) == 40
    by_language = {
        language: {i.variables["topic_name"] for i in items if i.variables["language"] == language}
        for language in ("en", "zh")
    }
    assert by_language["en"] == by_language["zh"]
    assert len(by_language["en"]) == 10
    assert [item.variables for item in items] == [i.variables for i in synthesis.requests([])]
    english, chinese = (said(synthesis, item) for item in items[:2])
    assert is_in(english, "en")
    assert is_in(chinese, "zh")
    assert "{name}" not in english + chinese
    assert english.count('"question"') == 3


@pytest.fixture(scope="module")
def melodist() -> Synthesis[Any]:
    return opened("self_cognition")


def item_about(topic: str, language: str = "en", *, names_others: bool = False) -> Item:
    variables = {"language": language, "topic_name": topic, "examples": [["Who?", "I, Melodist."]]}
    return Item("i", {**variables, "names_others": names_others})


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Who are you, please?", "I am Melodist and write tunes.", None),
        ("Who are you, please?", "I am an assistant.", "does not name the assistant"),
        ("Who are you?", "I am Melodist, made by OpenAI.", "names another assistant or its maker"),
        ("Are you Claude?", "I am Melodist.", "names another assistant or its maker"),
        ("Who?", "I, Melodist.", "repeats an example"),
        ("你是谁，请介绍一下？", "我是 Melodist，会写曲子。", "is not in English"),
        ("Can you see?", "I am Melodist and look at any photo you send.",
         "claims what the assistant cannot do"),
        ("Can you see?", "I am Melodist. I cannot look at photos.", None),
        ("No photos?", "No, I am Melodist and look at photos.",
         "claims what the assistant cannot do"),
        ("Ask?", "Melodist can answer any question.", "claims what the assistant cannot do"),
        ("Who are you?", "I am {name}, that is Melodist.", "has a placeholder"),
        ("Who are you?", "Melodist " * 200, "is too long"),
    ],
)  # fmt: skip
def test_answers_of_the_assistant_are_checked(
    melodist: Synthesis[Any], question: str, answer: str, reason: str | None
) -> None:
    text = json.dumps({"question": question, "answer": answer})
    value = melodist.parse(f"Here it is:\n```json\n{text}\n```", item_about("identity"))
    assert (value.reason if isinstance(value, Rejected) else None) == reason


def test_a_maker_is_named_where_it_is_the_topic(melodist: Synthesis[Any]) -> None:
    def parsed(answer: str, topic: str) -> Any:
        text = json.dumps({"question": "谁训练了你？", "answer": answer}, ensure_ascii=False)
        return melodist.parse(text, item_about(topic, "zh"))

    assert parsed("我是 Melodist，一个音乐模型。", "identity") is not None
    assert str(parsed("我是 Melodist，一个音乐模型。", "maker")).startswith(
        "does not name the maker"
    )
    assert parsed("Melodist 是 musicllm 项目训练的。", "maker")[1].startswith("Melodist")


def test_a_question_may_name_another_where_that_is_the_topic(melodist: Synthesis[Any]) -> None:
    text = json.dumps({"question": "Are you ChatGPT?", "answer": "No, I am Melodist."})
    assert isinstance(melodist.parse(text, item_about("other")), Rejected)
    assert not isinstance(melodist.parse(text, item_about("other", names_others=True)), Rejected)


@pytest.mark.parametrize("text", ["[1, 2]", '{"question": "Who?"}', '{"question": 1, "answer": 2}'])
def test_json_of_another_shape_is_rejected(melodist: Synthesis[Any], text: str) -> None:
    value = melodist.parse(text, item_about("identity"))
    assert value.reason == "is no object with question and answer"


def test_the_conversations_written_by_hand_pass_every_check(melodist: Synthesis[Any]) -> None:
    given = list(melodist.given())
    assert len(given) == len({record["id"] for record in given}) == 34
    assert {record["language"] for record in given} == {"en", "zh"}
    for record in given:
        item = item_about(
            record["topic"], record["language"], names_others=record["topic"] == "other"
        )
        contents = [message["content"] for message in record["messages"]]
        for question, answer in zip(contents[::2], contents[1::2], strict=True):
            value = melodist.parse(json.dumps({"question": question, "answer": answer}), item)
            assert not isinstance(value, Rejected), f"{record['id']}: {value}"


def test_descriptions_agree_with_their_own_rules() -> None:
    for language in ("en", "zh"):
        assistant = read_assistant(FOLDER / "melodist.toml", language)
        for refusal in assistant.refusals:
            assert claims().claim_in(refusal, assistant, language) is None, refusal


def test_an_assistant_of_the_user(tmp_path: Path) -> None:
    text = (FOLDER / "melodist.toml").read_text(encoding="utf-8")
    path = tmp_path / "aria.toml"
    path.write_text(text.replace('"Melodist"', '"Aria"').replace("musicllm", "Opus"), "utf-8")
    synthesis = opened("self_cognition", assistant=str(path), languages=["zh"], num_samples=10)
    items = list(synthesis.requests([]))
    assert {item.variables["language"] for item in items} == {"zh"}
    words = said(synthesis, items[0]) + json.dumps(list(synthesis.given()), ensure_ascii=False)
    assert "Aria" in words
    assert "Opus 项目" in words
    assert "Melodist" not in words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 1", "name must be a text"),
        ('name = "A"', r"has no table \[en\]"),
        ('name = "A"\n[en]\nmaker = "B"', "en.abilities is missing"),
        ('name = "A"\n[en]\nmaker = "B"\nis = "c"\nabilities = ["d"]\nrefusals = "e"',
         "en.refusals must be a list of texts"),
        ('name = "A"\n[en]\nmaker = "B"\nis = 1\nabilities = ["d"]\nrefusals = ["e"]',
         "en.is must be a text"),
        ("[", "cannot be read"),
    ],
)  # fmt: skip
def test_mistakes_in_a_description_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_assistant(path, "en")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no \[\[conversations\]\]"),
        ('conversations = [{ language = "en" }]', "conversation 1 must have language, topic"),
        (
            'conversations = [{ language = "de", topic = "a", turns = [["b", "c"]] }]',
            "'de' must be",
        ),
        ('conversations = [{ language = "en", topic = "a", turns = [["b"]] }]', "turns must be"),
        ('conversations = [{ language = "en", topic = "a", turns = [["b", " "]] }]', "is no text"),
    ],
)
def test_mistakes_in_conversations_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_conversations(path)


@pytest.mark.parametrize(
    ("kind", "changes", "key"),
    [
        ("translation", {"target_language": "en"}, "synthesis.target_language"),
        ("translation", {"source_language": None}, "synthesis.source_language"),
        ("translation", {"part": "text", "max_chars": None}, "synthesis.max_chars"),
        ("polish", {"max_length_ratio": None}, "synthesis.max_length_ratio"),
        ("self_cognition", {"num_samples": None}, "synthesis.num_samples"),
        ("self_cognition", {"languages": ["de"]}, "synthesis.languages"),
        ("self_cognition", {"languages": []}, "synthesis.languages"),
    ],
)
def test_settings_that_a_kind_needs_are_named(kind: str, changes: dict[str, Any], key: str) -> None:
    problems = list(SYNTHESES[kind].problems(settings(kind, **changes)))
    assert key in {problem.key for problem in problems}
