from __future__ import annotations

import pytest

from musicllm.data.ngrams import Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop_it: 6/8!", "Don t stop it 6 8"),
        ("“Où est—là” ﬁn", "Où est là fin"),
        ("the 音乐 of", "the 音 乐 of"),
        (" \n", ""),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, words: str) -> None:
    found = Words(text)

    assert found.joined.decode() == words
    assert len(found) == len(words.split())


def test_equal_runs_have_equal_hashes_wherever_they_stand() -> None:
    text = Words("a b c x a b c y")

    hashes = text.hashes(3).tolist()

    assert len(hashes) == 6
    assert hashes[0] == hashes[4] == Words("a b c").hashes(3)[0]
    assert len(set(hashes)) == 5
    assert text.run(4, 3) == b"a b c"


def test_hashes_tell_words_and_order_apart() -> None:
    texts = ["ab c", "a bc", "bc a", "c ab", "ab  d"]

    assert len({int(Words(text).hashes(2)[0]) for text in texts}) == len(texts)


def test_a_text_of_too_few_words_has_no_runs() -> None:
    assert [len(Words(text).hashes(3)) for text in ("", "a", "a b", "a b c")] == [0, 0, 0, 1]


def test_a_run_has_at_least_one_word() -> None:
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        Words("a").hashes(0)
