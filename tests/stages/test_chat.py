"""The chat stage, from a model on disk to a saved conversation, through a pipe."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts, cli
from musicllm import config as configuration
from musicllm.checks import check
from musicllm.command import parse
from musicllm.errors import ConfigError, InputError, NotAvailableError, StageError
from musicllm.launch import runner
from musicllm.model import base
from musicllm.music.transform import transpose
from musicllm.runs import needs
from musicllm.runs.settings import model_spec
from musicllm.serve.answers import check_tunes
from musicllm.serve.showing import visible
from musicllm.stages import chat, pipeline
from tests.helpers import make_corpus, make_tune
from tests.retrieval.indexes import make_index
from tests.serve.chat.scripted import Scripted

SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=2", "model.config.max_position_embeddings=128",
    "generation.max_new_tokens=8", "hardware.num_threads=1",
)  # fmt: skip

Talk = Callable[..., Path]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a random model with a chat template."""
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    folder = tmp_path / "model"
    with artifacts.writing(folder, "model", "m", {}) as (new, _):
        tokenizer = base.load_tokenizer(corpus.tokenizer_path)
        spec = model_spec(configuration.load(["recipe=quickstart/chat", *SMALL])[0])
        base.build(spec, seed=0, vocab_size=len(tokenizer)).save_pretrained(new)
        tokenizer.save_pretrained(new)
    return folder


@pytest.fixture
def talk(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Talk:
    def run(lines: str, *words: str) -> Path:
        """Hold a conversation; return the run folder."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        config, recipe = configuration.load(
            [
                "recipe=quickstart/chat", *SMALL,
                f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}",
                f"inputs.model={model}", *words,
            ]
        )  # fmt: skip
        return runner.run(config, recipe).folder

    return run


def conversations(folder: Path) -> list[list[dict[str, Any]]]:
    files = sorted(folder.glob("*/conversation.json"))
    return [json.loads(file.read_text(encoding="utf-8"))["messages"] for file in files]


def test_a_model_answers_lines_of_a_pipe(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    folder = talk("Write a reel in D.\n\n/set temperature=0\nAnd now?\n")
    (messages,) = conversations(folder)
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert messages[2]["content"] == "And now?"
    out = capsys.readouterr().out
    assert "context 128 tokens · temperature 0.8 · grammar off · seed 1234" in out
    assert f"> Write a reel in D.\n{visible(messages[1]['content'])}" in out
    assert {path.name for path in folder.iterdir()} == {path.name for path in folder.glob("2*")}


def test_the_same_lines_get_the_same_answers_whoever_else_talks(talk: Talk) -> None:
    first = talk("Hi\nMore\n/retry\n")
    second = talk("Hi\nMore\n/retry\n", "generation.top_k=0")
    assert first == second
    one, two = conversations(first)
    assert one == two
    assert talk("Hi\n", "seed=5") == first
    assert talk("Hi\n", "name=mine").name == "mine"


def test_turns_leave_a_real_context(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    folder = talk("".join(f"Tell me about tune {number}.\n" for number in range(6)))
    (messages,) = conversations(folder)
    assert len(messages) == 12
    assert "not fit the context of 128 tokens, and the model no longer sees" in (
        capsys.readouterr().err
    )


def test_what_is_too_long_or_has_no_system_role_is_refused_and_the_chat_goes_on(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="2 lines of the input failed"):
        talk(f"/system Be brief.\n{'D' * 400}\nHi\n")
    err = capsys.readouterr().err
    assert "this model takes no system prompt: its chat template leaves it out" in err
    assert "the message is too long: it has " in err
    assert "the conversation is in " in err


def test_a_model_without_a_template_is_refused_before_the_first_line(
    talk: Talk, model: Path
) -> None:
    (model / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template, so a model with it continues tex"):
        talk("Hi\n")


def test_rules_that_are_none_are_refused_before_the_first_line(talk: Talk) -> None:
    with pytest.raises(
        ConfigError, match=r"generation\.tune\.metre=x is no metre that the grammar"
    ):
        talk("Hi\n", "generation.tune.metre=x")


def test_the_grammar_holds_while_it_is_on(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    """With a random model: what it writes is music at all because it must hold a tune."""
    settings = "/set tune.required=true tune.metre=4/4 max_new_tokens=90\n"
    (messages,) = conversations(talk(f"{settings}/grammar on\nHi\n/grammar off\nHi\n"))
    held, free = (check_tunes(messages[number]["content"]) for number in (1, 3))
    assert held
    assert held[-1].parses
    assert held[-1].num_bars_fitting == held[-1].num_bars > 0
    assert not any(tune.parses for tune in free)
    assert "all fit" in capsys.readouterr().out


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["recipe=quickstart/chat", f"paths.runs={tmp_path}"]
    assert cli.main(words) == 1
    assert "inputs.model=quickstart/merge: this recipe has no finished run" in (
        capsys.readouterr().err
    )


def test_four_bits_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    config, _ = configuration.load(["recipe=chat", "adapter.quantization=nf4"])
    monkeypatch.setattr(needs, "find_spec", lambda _name: None)
    with pytest.raises(NotAvailableError, match=r"adapter\.quantization=nf4 needs bitsandbytes"):
        needs.require(config)


def test_a_chat_is_no_job_of_slurm_a_sweep_or_a_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = configuration.load(["recipe=quickstart/chat", "launcher=slurm"])
    with pytest.raises(ConfigError, match="launcher=slurm runs a job without a terminal, and a ch"):
        check(config)
    runs = f"paths.runs={tmp_path}"
    assert cli.main(["-m", "recipe=quickstart/chat", "seed=1,2", runs]) == 2
    assert "task=chat is a chat, which a person holds, and no job of a sweep; leave out -m" in (
        capsys.readouterr().err
    )
    words = ["recipe=quickstart", "steps=[quickstart/chat]", runs]
    config, recipe = configuration.load(words)
    with pytest.raises(ConfigError, match="steps=quickstart/chat is a chat, which ends only when"):
        runner.run(config, recipe, parse(words))
    assert pipeline.STAGES["chat"].interactive


def test_it_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipe=quickstart/chat", "stage=plan", f"paths.runs={tmp_path}"]) == 0
    assert "chat: a conversation in the terminal" in capsys.readouterr().out


CALL = '<tool_call>{"name": "render", "arguments": {"as": "MIDI"}}</tool_call>'
SHORT = make_tune(3).replace(" |]", "C |]")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """Put a scripted engine in the place of the model's."""

    def put(*replies: str) -> Scripted:
        engine = Scripted(*replies, context=None)
        monkeypatch.setattr(chat, "open_engine", lambda _: engine)
        return engine

    return put


def test_tools_are_called_and_their_files_lie_beside_the_conversation(
    talk: Talk, scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = scripted(f"{make_tune(3)}\n{CALL}", "Here it is.")
    words = ("tools=default", "generation.max_new_tokens=500")
    folder = talk("Write a reel in D, and its sound.\n", *words)
    ((_, answer),) = conversations(folder)
    assert answer["content"] == "Here it is."
    assert "tool-001.mid" in answer["steps"][1]["content"]
    assert len(list(folder.glob("*/tool-001.mid"))) == 1
    out = capsys.readouterr().out
    assert "tools: check_tune, transpose, render (protocol plain)" in out
    assert 'render(as=MIDI): {"files": ["tool-001.abc", "tool-001.mid"], "problems": []}' in out
    assert "check_tune([tune])" in str(engine.requests[0].messages)


def test_similar_tunes_are_found_and_versions_of_them_are_named(
    talk: Talk,
    scripted: Callable[..., Scripted],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tunes = [make_tune(seed, 16).replace("R:reel", f"T:Tune {seed}\nR:reel") for seed in range(4)]
    records = [{"source": "book", "id": f"t{n}", "text": text} for n, text in enumerate(tunes)]
    make_index(tmp_path / "index", records)
    call = '<tool_call>{"name": "find_similar", "arguments": {"count": 1}}</tool_call>'
    scripted(f"{tunes[2]}\n{call}", transpose(tunes[1], 5), make_tune(9, 16))
    words = ("tools=retrieval", f"inputs.index={tmp_path / 'index'}")
    talk("Find one like it.\nAnother?\nA new one?\n", *words, "generation.max_new_tokens=900")
    told = capsys.readouterr()
    assert 'find_similar(count=1): {"tunes": [{"title": "Tune 2", "source": "book"' in told.out
    notes = [line for line in told.err.splitlines() if "is a version of" in line]
    assert notes == ["tune 1 is a version of Tune 1 (book): similarity 1.00"]


def test_a_faulty_tune_is_written_again_and_it_is_said_why(
    talk: Talk, scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = scripted(SHORT, make_tune(3))
    words = ("generation.tries=2", "generation.max_new_tokens=500")
    ((_, answer),) = conversations(talk("Write a reel in D.\n", *words))
    assert answer["content"] == make_tune(3)
    assert "bar 8 lasts 9/8 instead of 8/8; the model tries again" in capsys.readouterr().err
    assert len(engine.requests) == 2


def test_an_earlier_try_that_is_better_is_shown_once_more(
    talk: Talk, scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    worse = make_tune(4).replace(" |]", "C |]").replace("K:", "M:3/4\nK:")
    scripted(SHORT, worse)
    words = ("generation.tries=2", "generation.max_new_tokens=500")
    ((_, answer),) = conversations(talk("Write a reel in D.\n", *words))
    told = capsys.readouterr()
    assert answer["content"] == SHORT
    assert "an earlier try has fewer faults, so it is the answer:" in told.err
    assert told.out.count(SHORT.strip()) == 2


def test_a_protocol_that_the_template_does_not_tell_is_refused(talk: Talk) -> None:
    with pytest.raises(InputError, match=r"tools\.protocol=hermes is told by a chat template"):
        talk("Hi\n", "tools=default", "tools.protocol=hermes")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("recipe=generate", "tools=default"), "tools.names=.* are called in a conversation of"),
        (
            ("recipe=chat", "tools=retrieval"),
            "tools.names=.* has find_similar, which needs",
        ),
        (("recipe=chat", "inputs.index=i"), "inputs.index=i is read by the tool find_similar, whi"),
        (("recipe=chat", "tools.names=[sing]"), "tools.names=sing must be one of check_tune, find"),
    ],
)
def test_tools_that_nothing_offers_are_refused(words: tuple[str, ...], problem: str) -> None:
    config, _ = configuration.load([*words, "hardware=cpu"])
    with pytest.raises(ConfigError, match=problem):
        check(config)
