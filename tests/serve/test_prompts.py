"""Prompts from lists and files: what they are, their seeds, and every bad line by its number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm.errors import InputError
from musicllm.music.grammar import TuneRules
from musicllm.serve.prompts import Prompts, seed_of


def lines(path: Path, *rows: object) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_a_list_and_files_are_read_in_order(tmp_path: Path) -> None:
    text = tmp_path / "more.txt"
    text.write_bytes(b"\xef\xbb\xbfA reel.\r\n\r\n  A jig.\n")
    turns = [{"role": "system", "content": "You are a fiddler."}, {"role": "user", "content": "Go"}]
    rows = lines(
        tmp_path / "rows.jsonl",
        {"id": "a", "prompt": "A waltz."},
        {"id": 7, "messages": turns, "settings": {"temperature": 0, "max_new_tokens": 9}},
        {"text": "X:1\nK:D\n", "tune": {"key": "D"}, "task": "t", "conditions": {"key": "D"}},
    )
    prompts = Prompts.read(["A song.", str(text), rows])
    assert len(prompts) == 6
    assert prompts.num_blank_lines == 1
    shown = ["A song.", "A reel.", "A jig.", "A waltz.", "Go", "X:1\nK:D\n"]
    assert [prompt.shown for prompt in prompts] == shown
    assert [prompt.id for prompt in prompts] == ["001", "002", "003", "a", "7", "006"]
    assert prompts[2].place == f"{text}:3"
    assert prompts[-1].name == "006"
    assert prompts[4].messages == tuple(turns)
    assert prompts[4].settings == {"temperature": 0, "max_new_tokens": 9}
    last = prompts[5]
    assert (last.messages, last.text, last.task) == (None, "X:1\nK:D\n", "t")
    assert (last.tune, last.conditions) == ({"key": "D"}, {"key": "D"})


def test_seeds_follow_the_prompt_and_the_candidate_and_nothing_else(tmp_path: Path) -> None:
    rows = {"prompt": "one"}, {"id": "x", "prompt": "q"}
    few = Prompts.read([lines(tmp_path / "a.jsonl", *rows)])
    many = Prompts.read(
        [
            "zero",
            lines(tmp_path / "b.jsonl", {"id": "x", "prompt": "other words"}, {"prompt": "one"}),
            "one",
        ]
    )
    assert seed_of(5, few[0], 3) == seed_of(5, many[2], 3)  # the same content
    assert seed_of(5, few[1], 0) == seed_of(5, many[1], 0)  # the same id
    assert seed_of(5, many[2], 0) != seed_of(5, many[3], 0)  # the second of equal ones
    assert seed_of(6, few[0], 0) != seed_of(5, few[0], 0)
    own = [seed_of(5, few[0], candidate) for candidate in range(1000)]
    assert len(set(own)) == 1000
    assert all(0 <= seed < 2**32 for seed in own)
    # a change here makes other tunes of the same command
    assert own[:2] == [SEED, (SEED + 0x9E3779B1) % 2**32]


SEED = 2471901421


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "is a list, and an object with one of prompt, messages or text is due"),
        ("{", "is not valid JSON (column 2: "),
        ('{"id": "a"}', "has none of its contents; write one of prompt, messages or text"),
        ('{"prompt": "a", "text": "b"}', "has both prompt and text; write one of"),
        ('{"prompt": " "}', "has an empty prompt: there is nothing to answer or continue"),
        ('{"text": ""}', "has an empty text: there is nothing to answer or continue"),
        ('{"prompt": 3}', "has a prompt that is a number, not a string"),
        ('{"promt": "a"}', "has a field promt, which is none of prompt, messages, text, id, "),
        ('{"prompt": "a", "id": ""}', "has an id that is a string; write a string or a whole"),
        ('{"prompt": "a", "id": 1.5}', "has an id that is a number; write a string or a whole"),
        ('{"messages": []}', "has messages that are no list of {role, content}"),
        ('{"messages": [{"role": "user"}]}', "has a message 1 without role or content"),
        (
            '{"messages": [{"role": "tool", "content": "a"}]}',
            "has a message 1 of 'tool'; roles are system, user or assistant",
        ),
        (
            '{"messages": [{"role": "user", "content": "a"}, '
            '{"role": "assistant", "content": "b"}]}',
            "ends with a message of the assistant, and a prompt ends with one of the user",
        ),
        ('{"prompt": "a", "settings": {"top": 1}}', "has settings.top, which is none of temp"),
        (
            '{"prompt": "a", "settings": {"top_p": 2}}',
            "has settings.top_p=2, which must be from 1e-06 to 1",
        ),
        (
            '{"prompt": "a", "settings": {"top_k": 1.5}}',
            "has settings.top_k=1.5, which must be of type int",
        ),
        ('{"prompt": "a", "settings": {"top_k": null}}', "has settings.top_k=None, which must be"),
        ('{"prompt": "a", "tune": {"tempo": 1}}', "has tune.tempo, which is none of"),
        ('{"prompt": "a", "tune": {"num_bars": "8"}}', "has tune.num_bars=8, which must be of"),
        ('{"prompt": "a", "conditions": [1]}', "has conditions that are no object of texts"),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f'{{"prompt": "fine"}}\n\n{row}\n')
    with pytest.raises(InputError) as caught:
        Prompts.read([str(path)])
    text = str(caught.value)
    assert text.startswith(f"1 line of {path} cannot be used:\n  {path}:3 ")
    assert message in text


def test_all_bad_lines_are_counted_and_the_first_ones_shown(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"fine\n" + b"\xff\n" * 1200)
    with pytest.raises(InputError) as caught:
        Prompts.read([str(path)])
    first, *shown, last = str(caught.value).split("\n")
    assert first == f"1,200 lines of {path} cannot be used:"
    assert shown[0] == f"  {path}:2 is not UTF-8 (byte 1 of the line)"
    assert (len(shown), last) == (20, "  and 1,180 more")


def test_lines_that_the_grammar_cannot_write_are_told_with_all_other_bad_lines(
    tmp_path: Path,
) -> None:
    path = lines(
        tmp_path / "p.jsonl",
        {"text": "Here is a tune:\n\nX:1\nK:D\n"},
        {"id": "a", "text": "X:1\nK:D\n\u00a3"},
        {"prompt": "A reel.", "tune": {"form": "ABA", "num_bars": 2}},
        {"prompt": ""},
        {"prompt": "A reel.", "tune": {"form": "ABA"}},
        {"text": "X:1\nM:4/4\nL:1/8\nK:D\nABcd efga b|", "tune": {"metre": "4/4"}},
    )
    assert len(Prompts.read([lines(tmp_path / "q.jsonl", {"text": "X:1\nK:D\n\u00a3"})])) == 1
    with pytest.raises(InputError) as caught:
        Prompts.read([path], TuneRules())
    head, *shown = str(caught.value).split("\n")
    assert head == f"4 lines of {path} cannot be used:"
    assert shown[0] == (
        f"  {path}:2 has a text that no legal tune begins with: line 3, column 1 of the beginning: "
        "'\u00a3' cannot stand here in a legal tune; mend it, or write generation.grammar=null"
    )
    assert shown[1] == (
        f"  {path}:3 has a tune that cannot be written: tune.num_bars=2 cannot be the bars of "
        "form=ABA; leave one of them out"
    )
    assert shown[2].startswith(f"  {path}:4 has an empty prompt")
    assert shown[3].startswith(f"  {path}:6 has a text that no legal tune begins with: line 5, ")
    with pytest.raises(InputError, match=r":5 has .*: generation\.tune\.num_bars=2 cannot be the"):
        Prompts.read([path], TuneRules(num_bars=2))


def test_ids_and_fields_of_a_file_are_shown_without_control_characters(tmp_path: Path) -> None:
    name = "x\x1b[31m\ny"
    path = lines(
        tmp_path / "p.jsonl", {"id": name, "prompt": "1"}, {"id": name, "prompt": "2"}, {name: 1}
    )
    with pytest.raises(InputError) as caught:
        Prompts.read([path])
    _, same, field = str(caught.value).split("\n")
    assert f":2 has the id x<U+001B>[31m<U+000A>y of {path}:1, too" in same
    assert "has a field x<U+001B>[31m<U+000A>y, which is none of" in field


def test_ids_are_unique_over_all_entries(tmp_path: Path) -> None:
    first = lines(tmp_path / "a.jsonl", {"id": "x", "prompt": "1"})
    second = lines(tmp_path / "b.jsonl", {"prompt": "2"}, {"id": "x", "prompt": "3"})
    with pytest.raises(InputError, match=rf"{second}:2 has the id x of {first}:1, too"):
        Prompts.read([first, second])
    third = lines(tmp_path / "c.jsonl", {"id": "002", "prompt": "1"}, {"prompt": "2"})
    with pytest.raises(InputError, match=r"c\.jsonl:1 has the id 002, which prompt 002 without"):
        Prompts.read([third])


def test_missing_and_empty_files_and_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"generation\.prompts names none\.txt, which is no file"):
        Prompts.read(["none.txt"])
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"empty\.txt holds no prompt: write one on each line"):
        Prompts.read([str(tmp_path / "empty.txt")])
    with pytest.raises(InputError, match=r"generation\.prompts\[1\] has an empty prompt"):
        Prompts.read(["fine", " "])


def test_a_line_that_changes_later_is_refused(tmp_path: Path) -> None:
    path = Path(lines(tmp_path / "p.jsonl", {"prompt": "one"}))
    prompts = Prompts.read([str(path)])
    path.write_text("{\n")
    with pytest.raises(InputError, match=r"p\.jsonl:1 is not valid JSON .* and did not before"):
        prompts[0]


def test_a_system_prompt_stands_before_conversations_that_have_none(tmp_path: Path) -> None:
    own = [{"role": "system", "content": "own"}, {"role": "user", "content": "q"}]
    entries = ["one", lines(tmp_path / "a.jsonl", {"messages": own}, {"text": "X:1\n"})]
    plain, shared = Prompts.read(entries), Prompts.read(entries, system="You compose.")
    assert shared[0].messages == ({"role": "system", "content": "You compose."}, *plain[0].messages)
    assert shared[0].shown == "one"
    assert shared[1].messages == tuple(own)
    assert (shared[2].messages, shared[2].text) == (None, "X:1\n")
    assert [prompt.key for prompt in shared] == [prompt.key for prompt in plain]


def test_drawn_prompts_bring_their_system_prompt() -> None:
    question = [{"role": "user", "content": "A jig, please."}]
    answer = {"role": "assistant", "content": "X:1\nK:D\nABc|"}
    system = [{"role": "system", "content": "own"}]
    records = [
        {"id": str(len(start)), "messages": [*start, *question, answer]} for start in ([], system)
    ]
    drawn = Prompts.drawn(records, "You compose.")
    assert [prompt.messages[0]["content"] for prompt in drawn] == ["You compose.", "own"]
    assert [prompt.messages[1:] for prompt in drawn] == [tuple(question)] * 2
