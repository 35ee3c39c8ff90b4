from __future__ import annotations

from typing import Any

import pytest

from musicllm.data.sources.formats import FORMATS, detect
from musicllm.data.sources.marks import MARKS
from musicllm.files.misfit import Misfit


def convert(name: str, raw: dict[str, Any]) -> dict[str, Any]:
    return FORMATS[name].convert(raw)


def said(*contents: str, system: str = "") -> dict[str, Any]:
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("id text src", "text"),
        ("title content", "text"),
        ("abc notation, control code", "abc"),
        ("instruction input output text", "instruction"),
        ("instruction context response category", "instruction"),
        ("messages id", "openai"),
        ("messages id source", "record"),
        ("id source text", "record"),
        ("id conversations", "sharegpt"),
        ("conversation", "xtuner"),
        ("prompt completion", "prompt_completion"),
        ("question answer", "prompt_completion"),
        ("id prompt chosen rejected chosen_by origin time", "preference"),
    ],
)
def test_a_format_is_told_by_the_fields(fields: str, name: str) -> None:
    names = fields.split(", ") if "," in fields else fields.split()
    found = detect(names)

    assert found is not None
    assert found.name == name


def test_unknown_fields_are_of_no_format() -> None:
    assert detect(["stem", "options"]) is None


def test_text_and_tunes() -> None:
    assert convert("text", {"document": "A fugue.", "src": "x"}) == {"text": "A fugue."}
    irishman = {"abc notation": "X:1\nK:D\nabc", "control code": "S:2\n"}
    assert convert("abc", irishman) == {"text": "X:1\nK:D\nabc", "control_code": "S:2\n"}


def test_an_input_goes_under_its_instruction() -> None:
    raw = {"instruction": "Name the key.", "input": "K:D", "output": "D major"}
    assert convert("instruction", raw) == {
        **said("Name the key.\nK:D", "D major"),
        "published": ["Name the key.K:D", "D major"],
    }
    assert convert("instruction", {**raw, "input": None}) == {
        **said("Name the key.", "D major"),
        "published": ["Name the key.", "D major"],
    }


def test_history_and_system_prompt_come_first() -> None:
    raw = {
        "instruction": "And now?",
        "output": "G",
        "system": "You listen.",
        "history": [["Which key?", "D"], ["Sure?", "Yes"]],
    }

    assert convert("instruction", raw) == said(
        "Which key?", "D", "Sure?", "Yes", "And now?", "G", system="You listen."
    )


@pytest.mark.parametrize(
    ("instruction", "context", "output", "turns"),
    [
        ("Human: Q", "", "Assistant: A", ["Q", "A"]),
        ("Human: Q ", "with more </s> ", "Assistant: A </s> ", ["Q with more", "A"]),
        ("Human: Q", "with more </s> ", "Assistant: A </s> ", ["Q\nwith more", "A"]),
        ("Human: Q </s> Assistant: ", "", "A</s>", ["Q", "A"]),
        ("Human: Q </s> Assistant:", "", "A", ["Q", "A"]),
        ("Human: Q", "", "</s> Assistant: A </s>", ["Q", "A"]),
        ("Q", "", "A </s>", ["Q", "A"]),
        ("", "", "Human: Q </s> Assistant: A </s>", ["Q", "A"]),
        (
            "Human: Q </s> Assistant: A </s> Human: R </s> Assistant: ",
            "",
            "B </s>",
            ["Q", "A", "R", "B"],
        ),
        (
            "Human: Q </s> Assistant: A </s>  Human: R </s>",
            None,
            "Assistant: B",
            ["Q", "A", "R", "B"],
        ),
        (
            "Human: Q </s> Assistant: ",
            "",
            "A </s> Human: R </s> Assistant: B",
            ["Q", "A", "R", "B"],
        ),
    ],
)
def test_chatmusicians_marks_are_taken_out(
    instruction: str, context: str | None, output: str, turns: list[str]
) -> None:
    raw = {"instruction": instruction, "input": context, "output": output}

    assert convert("instruction", raw) == {
        **said(*turns),
        "published": [instruction + (context or ""), output],
    }


def test_end_marks_inside_a_tune_are_not_ours_to_mend() -> None:
    tune = "X:1</s>L:1/8</s>K:D</s>abc|"
    raw = {"instruction": f"Human: Mend {tune}", "input": "", "output": f"Assistant: {tune} </s>"}

    assert convert("instruction", raw)["messages"] == said(f"Mend {tune}", tune)["messages"]


def test_openai_messages_with_parts() -> None:
    parts = [{"type": "text", "text": "Which "}, {"type": "text", "text": "key?"}]
    raw = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": "D"},
        ]
    }

    assert convert("openai", raw) == said("Which key?", "D", system="Be brief.")


def test_sharegpt_and_xtuner() -> None:
    sharegpt = {
        "system": "Be brief.",
        "conversations": [{"from": "human", "value": "Key?"}, {"from": "gpt", "value": "D"}],
    }
    exchange = {"system": "Be brief.", "input": "Key?", "output": "D"}

    assert convert("sharegpt", sharegpt) == said("Key?", "D", system="Be brief.")
    assert convert("xtuner", {"conversation": [exchange]}) == said("Key?", "D", system="Be brief.")
    assert convert("xtuner", {"conversation": exchange}) == said("Key?", "D", system="Be brief.")


def test_xtuners_bare_output_is_a_text() -> None:
    raw = {"conversation": [{"input": "", "output": "X:1\nK:D\nabc"}]}

    assert convert("xtuner", raw) == {"text": "X:1\nK:D\nabc"}


def test_questions_and_our_own_records() -> None:
    assert convert("prompt_completion", {"question": "Key?", "answer": "D"}) == said("Key?", "D")
    own = {"id": "a", "source": "b", **said("Key?", "D"), "task": "key", "note": "x"}
    assert convert("record", own) == {**said("Key?", "D"), "task": "key"}
    assert convert("record", {"id": "a", "source": "b", "text": "abc"}) == {"text": "abc"}


def test_a_preference_is_its_chosen_answer() -> None:
    key, d, sure, yes = said("Key?", "D", "Sure?", "Yes")["messages"]
    no = [{"role": "assistant", "content": "No"}]
    raw = {"prompt": [key], "chosen": [d], "rejected": no, "origin": "vote"}
    assert convert("preference", raw) == said("Key?", "D")
    long = {"prompt": [key, d, sure], "chosen": [yes], "rejected": no}
    assert convert("preference", long) == {"messages": [key, MASKED, sure, yes]}
    texts = {"prompt": "Key?", "chosen": "D", "rejected": "G"}
    assert convert("preference", texts) == said("Key?", "D")
    with pytest.raises(Misfit, match="is not a conversation") as misfit:
        convert("preference", {"prompt": "Key?", "chosen": [d], "rejected": no})
    assert "must both be texts, or both lists" in misfit.value.detail
    with pytest.raises(Misfit):
        convert("preference", {"prompt": [key], "chosen": [], "rejected": no})


MASKED = {"role": "assistant", "content": "D", "weight": 0}


@pytest.mark.parametrize("mark", [{name: 0} for name in MARKS] + [{"train": False}, {"loss": 0.0}])
def test_a_marked_turn_is_masked_in_every_format_of_turns(mark: dict[str, Any]) -> None:
    turns = said("Key?", "D", "Sure?", "Yes")["messages"]
    expected = {"messages": [turns[0], MASKED, *turns[2:]]}
    openai = [turns[0], turns[1] | mark, turns[2], turns[3] | dict.fromkeys(mark, 1)]
    sharegpt = [
        {"from": m["role"], "value": m["content"]} | {k: m[k] for k in m if k in mark}
        for m in openai
    ]
    xtuner = [
        {"input": "Key?", "output": "D"} | mark,
        {"input": "Sure?", "output": "Yes"} | dict.fromkeys(mark),
    ]

    assert convert("openai", {"messages": openai}) == expected
    assert convert("sharegpt", {"conversations": sharegpt}) == expected
    assert convert("xtuner", {"conversation": xtuner}) == expected
    assert convert("record", {"id": "a", "source": "b", **expected}) == expected


def test_marks_that_mask_what_is_never_trained_change_nothing() -> None:
    system, user, assistant = said("Key?", "D", system="Be brief.")["messages"]
    marked = [system | {"weight": 0}, user | {"train": False, "loss": None}, assistant]
    assert convert("openai", {"messages": marked}) == said("Key?", "D", system="Be brief.")


@pytest.mark.parametrize(
    ("user", "assistant", "detail"),
    [
        ({}, {"weight": 0.5}, "turn 2: weight is 0.5; 0 masks a turn, and 1 trains it"),
        ({}, {"loss_weight": 2}, "turn 2: loss_weight is 2; 0 masks a turn, and 1 trains it"),
        ({}, {"train": "no"}, "turn 2: train is 'no'; 0 masks a turn, and 1 trains it"),
        ({"weight": "0"}, {}, "turn 1: weight is '0'; 0 masks a turn, and 1 trains it"),
        (
            {},
            {"weight": 1, "train": False},
            "turn 2: weight is 1, train is False, which contradict each other",
        ),
        (
            {},
            {"train_detail": [{"begin_offset": 0, "end_offset": 3, "train": False}]},
            "turn 2: train_detail marks parts of it; only whole turns can be masked",
        ),
        (
            {},
            {"need_eos_token": False},
            "turn 2: need_eos_token is false; every answer ends with its token here",
        ),
        (
            {"train": True},
            {},
            "turn 1: asks to train on the user; only the assistant's are trained",
        ),
    ],
)
def test_marks_that_cannot_be_followed_are_refused(
    user: dict[str, Any], assistant: dict[str, Any], detail: str
) -> None:
    turns = said("Key?", "D")["messages"]
    with pytest.raises(Misfit) as caught:
        convert("openai", {"messages": [turns[0] | user, turns[1] | assistant]})
    assert caught.value.reason == "has a mark on a turn that cannot be followed"
    assert caught.value.detail == detail


ROLES = "is not a conversation"


@pytest.mark.parametrize(
    ("name", "raw", "reason", "detail"),
    [
        ("text", {"text": " \n"}, "is empty", "text is empty"),
        ("text", {"text": None}, "is empty", "text is empty"),
        ("text", {"text": ["a"]}, "is not text", "text is list, not a string"),
        ("openai", {"messages": "hi"}, ROLES, "a list of turns is expected, found str"),
        ("openai", {"messages": []}, ROLES, "it has no turns"),
        ("openai", {"messages": ["hi"]}, ROLES, "turn 1 has no field role"),
        ("openai", {"messages": [{"role": "tool"}]}, ROLES, "turn 1 has the role 'tool'"),
        (
            "openai",
            {"messages": [{"role": "user", "content": None}]},
            ROLES,
            "turn 1 has no text, but NoneType",
        ),
        (
            "openai",
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            ROLES,
            "turn 1 has a part that is not text",
        ),
        ("openai", said("Key?"), ROLES, "it ends with the user"),
        (
            "openai",
            {"messages": [{"role": "user", "content": "Key?"}, MASKED]},
            "has nothing to learn",
            "every turn of the assistant is masked",
        ),
        ("openai", said("Key?", " "), ROLES, "turn 2, the assistant's, is empty"),
        (
            "sharegpt",
            {"conversations": [{"from": "gpt", "value": "Hello"}]},
            ROLES,
            "turn 1 is the assistant's, where the user's is expected",
        ),
        (
            "xtuner",
            {"conversation": [{"input": "a", "output": "b"}, {"system": "s", "output": "c"}]},
            ROLES,
            "turn 3 is the system's, where the user's is expected",
        ),
        ("xtuner", {"conversation": "a"}, ROLES, "a list of {system, input, output} is expected"),
        (
            "xtuner",
            {"conversation": [{"human": "a"}]},
            "has other fields",
            "a turn without output; expected input, output",
        ),
        (
            "instruction",
            {"instruction": "a", "output": "b", "history": "ab"},
            ROLES,
            "history is not a list of [question, answer]",
        ),
        (
            "instruction",
            {"instruction": "Human: a </s> Assistant: b </s> Assistant: ", "output": "c"},
            ROLES,
            "turn 3 is the assistant's, where the user's is expected",
        ),
    ],
)
def test_what_does_not_fit_says_why(
    name: str, raw: dict[str, Any], reason: str, detail: str
) -> None:
    with pytest.raises(Misfit) as caught:
        convert(name, raw)

    assert (caught.value.reason, caught.value.detail) == (reason, detail)
