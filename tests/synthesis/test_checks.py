"""What survives when a text is translated or rewritten: numbers, keys, chords, names, terms."""

from pathlib import Path

import pytest

from musicllm.errors import InputError
from musicllm.synthesis.checks.faithful import unwrapped
from musicllm.synthesis.checks.glossary import BUILT_IN, glossary
from musicllm.synthesis.checks.keys import changed_key, keys_in
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.checks.length import changed_length
from musicllm.synthesis.checks.literals import changed_literal, literals_in
from musicllm.synthesis.checks.names import changed_name, names_in
from musicllm.synthesis.checks.numbers import changed_number, numbers_in


@pytest.mark.parametrize(
    ("text", "digits", "words"),
    [
        ("1,128 works in the 18th century", {"1128", "18"}, set()),
        ("3 million, 6/8 and 1.50", {"3000000", "6/8", "1.5"}, {"1000000"}),
        ("twenty-four, two hundred and five", set(), {"24", "205"}),
        ("an eighth note, the fifth", set(), {"1/8", "5"}),
        ("G7, C4, BWV1007 and A5", set(), set()),
        ("公元１６８５年，300万，共65件", {"1685", "3000000", "65"}, set()),
        ("一千六百八十五、一六八五、二十四、三百万", set(), {"1685", "24", "3000000"}),
        ("八分之六拍，八分音符", set(), {"6/8", "1/8"}),
    ],
)
def test_numbers_are_read_in_both_languages(text: str, digits: set[str], words: set[str]) -> None:
    numbers = numbers_in(text)
    assert numbers.digits == digits
    assert words <= numbers.words


@pytest.mark.parametrize(
    ("source", "result", "change"),
    [
        ("Bach, born in 1685", "巴赫，1685年生", None),
        ("Bach, born in 1685", "巴赫，1686年生", "1685 is missing"),
        ("in the 18th century", "在十八世纪", None),
        ("eighteen tunes", "18首曲子", None),
        ("a tune", "2首曲子", "2 is not in the source"),
        ("in 6/8", "八分之六拍", None),
        ("in 6/8", "3/4拍", "6/8 is missing"),
        ("1,850 tunes", "1850首曲子", None),
        ("30,000 people", "3万人", None),
    ],
)
def test_changed_numbers_are_noticed(source: str, result: str, change: str | None) -> None:
    assert changed_number(source, result) == change


def test_keys_are_the_same_in_both_languages() -> None:
    english = "B flat major, Bb minor, B-flat Dorian, F♯ minor; a D mixolydian tune in A minor"
    chinese = "降B大调、bB小调、♭B多利亚调式、升F小调，D混合利底亚调式的曲子，a小调"
    assert keys_in(english) == keys_in(chinese) == {
        "Bb major", "Bb minor", "Bb dorian", "F# minor", "D mixolydian", "A minor",
    }  # fmt: skip
    assert keys_in("A minor problem. A major reason is this. An A major scale.") == {"A major"}
    assert changed_key("in D major", "D大调") is None
    assert changed_key("in D major", "D小调") == "the key D major is missing"
    assert changed_key("a tune", "一首G大调的曲子") == "the key G major is not in the source"


def test_chords_and_names_with_digits_stay() -> None:
    text = "Use Am, G7 and C4 of BWV1007 in the 18th AABB form, Go on, F♯m."
    assert literals_in(text) == {"Am", "G7", "C4", "BWV1007", "AABB", "F#m"}
    assert literals_in("在Am和弦上，从G7到C") == {"Am", "G7"}
    assert changed_literal("over Am and G7", "在Am与G7上") is None
    assert changed_literal("over Am and G7", "在Am上") == "G7 is missing"
    assert changed_literal("over Am", "在Am与G7上") == "G7 is not in the source"


def test_terms_are_found_by_their_longest_expression() -> None:
    terms = glossary().terms_in("Time signatures of a Slip Jig; melodies by Bach", "en", "zh")
    assert [(term.text, term.translations[0]) for term in terms] == [
        ("Time signatures", "拍号"),
        ("Slip Jig", "滑步吉格舞曲"),
        ("melodies", "旋律"),
        ("Bach", "巴赫"),
    ]
    assert not glossary().terms_in("Bachelor, jigsaw, scored", "en", "zh")


@pytest.mark.parametrize(
    ("source", "result", "missing"),
    [
        ("Write a jig", "写一首吉格舞曲", None),
        ("Write a jig", "写一首舞曲", "jig must become 吉格舞曲 or 吉格 or 基格舞曲"),
        ("Note the key of this air", "请注意这首歌", None),  # words of every day are not required
        ("a piece by Bach", "巴克的作品", "Bach must become 巴赫"),
    ],
)
def test_terms_must_be_translated(source: str, result: str, missing: str | None) -> None:
    assert glossary().missing_term(source, result, "en", "zh") == missing


def test_terms_must_be_translated_the_other_way() -> None:
    terms = glossary()
    assert (
        terms.missing_term("写一首吉格舞曲，四分音符", "Write jigs in crotchets", "zh", "en")
        is None
    )
    assert (
        terms.missing_term("巴赫的赋格", "A canon by Bach", "zh", "en") == "赋格 must become fugue"
    )


def test_a_glossary_of_the_user_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    path.write_text('terms = [{ en = ["jig"], zh = ["基格"] }]', encoding="utf-8")
    (term,) = glossary(path).terms_in("a jig", "en", "zh")
    assert term.translations[:2] == ("基格", "吉格舞曲")
    assert glossary(path).missing_term("a jig", "一首基格", "en", "zh") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("terms = [", "cannot be read"),
        ("words = []", "words is unknown; lists are terms and names"),
        ('terms = [{ en = ["jig"] }]', "terms, entry 1 must have en and zh"),
        ('names = [{ en = "Bach", zh = ["巴赫"] }]', "names, entry 1: en must be a list"),
        ('terms = [{ en = ["a"], zh = ["b"], check = 1 }]', "check must be true or false"),
    ],
)
def test_mistakes_in_a_glossary_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        glossary(path)


def test_every_expression_of_the_built_in_glossary_is_found() -> None:
    terms = glossary(BUILT_IN)
    for entry in terms.entries:
        for language, into in (("en", "zh"), ("zh", "en")):
            for text in entry.expressions[language]:
                if language == "zh" and len(text) == 1:
                    continue
                assert any(term.text == text for term in terms.terms_in(text, language, into)), text


BACH = (
    "Johann Sebastian Bach was born in Eisenach in 1685. His music, which Mendelssohn revived, "
    "is in D major. Clara Schumann's concerts came later."
)


@pytest.mark.parametrize(
    ("result", "change"),
    [
        (BACH, None),
        (BACH.replace("His music", "The music"), None),
        (BACH.replace("Eisenach", "Leipzig"), "Eisenach is missing"),
        (f"{BACH} Mozart liked it.", "Mozart is not in the source"),
        (f"{BACH} So did Carl.", "Carl is not in the source"),
    ],
)
def test_names_of_an_english_text_stay(result: str, change: str | None) -> None:
    assert changed_name(BACH, result, "en", glossary()) == change


def test_names_of_a_chinese_text_stay() -> None:
    text = "弗朗茨·李斯特写了《匈牙利狂想曲》。贝多芬敬佩他。Liszt 是匈牙利人。"
    names = names_in(text, "zh", glossary())
    assert names == {"朗茨·李斯", "李斯特", "匈牙利狂想曲", "贝多芬", "Liszt"}
    assert changed_name(text, text.replace("写了", "创作了"), "zh", glossary()) is None
    changed = text.replace("贝多芬", "莫扎特")
    assert changed_name(text, changed, "zh", glossary()) == "贝多芬 is missing"


def test_languages_are_told_by_letters() -> None:
    assert is_in("写一首 ABC 记谱法的曲子", "zh")
    assert not is_in("写 a reel in D", "zh")
    assert is_in("Write a reel in D", "en")
    assert not is_in("Write 一首里尔舞曲", "en")
    assert not is_in("|: DEFG | A2 B2 :|", "en")


def test_lengths_are_compared_across_languages() -> None:
    english = "Write a tune in the key of D major and add chord symbols to each of its bars."
    assert changed_length(english, "写一首D大调的曲子，给每个小节加上和弦符号。", 2.5) is None
    assert changed_length(english, "写曲", 2.5) == "about 0.10 times the length of the source"
    assert changed_length("写曲", english, 2.5) == "about 10.0 times the length of the source"


def test_what_stands_round_an_answer_is_taken_off() -> None:
    for answer in ("<text>\n译文\n</text>", "```\n译文\n```", "“译文”", '"译文"', "译文"):
        assert unwrapped(answer, "a text") == "译文"
    assert unwrapped('"译文"', '"a text"') == '"译文"'
    assert unwrapped("“译文”和“译文”", "a text") == "“译文”和“译文”"
