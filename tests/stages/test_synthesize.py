"""The stage synthesize against a server that answers, stalls, answers rubbish, and is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.data.settings import SourceSpec
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError, StageError
from musicllm.launch import runner
from musicllm.model import base
from musicllm.report.runs import read_lines
from musicllm.runs.settings import model_spec
from musicllm.synthesis import asking
from musicllm.synthesis.desk import Desk
from musicllm.synthesis.kind import SYNTHESES
from tests.examples import EXAMPLES
from tests.helpers import make_corpus
from tests.inference.servers import StallError, Stub, delta, serving

Run = Callable[..., Artifact]
PROMPT = """
{% block system %}You name keys.{% endblock %}
{% block user %}Text {{ id }}: {{ text }}{% endblock %}
{% block again %}Not so: it {{ reason }} ({{ detail }}).{% endblock %}
{% block record %}{"text": {{ (text ~ " -> " ~ answer) | tojson }}}{% endblock %}
"""


def streamed(text: str, tokens: int = 2) -> list[Any]:
    """Return the events of an answer that was streamed in two pieces."""
    usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": tokens}}
    return [delta(text[:2]), delta(text[2:]), delta(None, "stop"), usage]


def asked(body: dict[str, Any]) -> str:
    """Return the last thing that the user says in a request."""
    return str(body["messages"][-1]["content"])


def number_of(body: dict[str, Any]) -> int:
    """Return the number of the text that a request is about."""
    question = next(message for message in body["messages"] if message["role"] == "user")
    found = re.search(r"number (\d+)", question["content"])
    assert found, question
    return int(found[1])


@pytest.fixture
def server() -> Iterator[Stub]:
    """A server that answers every question with the number of its text."""
    stub = Stub(lambda _path, body, _number: streamed(f"key {number_of(body)}"))
    with serving(stub):
        yield stub


@pytest.fixture
def words(tmp_path: Path, server: Stub) -> list[str]:
    """A command about 12 texts."""
    rows = "".join(f"{json.dumps({'text': f'number {n}'})}\n" for n in range(12))
    (tmp_path / "texts.jsonl").write_text(rows)
    (tmp_path / "ask.jinja").write_text(PROMPT)
    return [
        "recipe=synthesize",
        "data=files",
        f"data.sources.files.location={tmp_path / 'texts.jsonl'}",
        f"synthesis.prompt={tmp_path / 'ask.jinja'}",
        "synthesis.max_items=null",
        f"model.endpoint={server.url}",
        "inference.num_parallel=4",
        f"paths.runs={tmp_path / 'runs'}",
        f"paths.cache={tmp_path / 'cache'}",
    ]


@pytest.fixture
def run(words: list[str]) -> Run:
    """Run the command with further words."""

    def run_with(*more: str) -> Artifact:
        config, recipe = configuration.load([*words, *more])
        return artifacts.read(runner.run(config, recipe).folder / "artifact", "records")

    return run_with


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait shortly where a connection failed."""
    monkeypatch.setattr(asking, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("musicllm.inference.servers.http.FIRST_WAIT_S", 0.01)


def texts(artifact: Artifact) -> list[str]:
    return [line["text"] for line in read_lines(artifact.path / "records.jsonl")]


ALL = [f"number {n} -> key {n}" for n in range(12)]


def test_records_are_in_order_with_their_provenance_and_nothing_is_asked_twice(
    run: Run, server: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = run("seed=5")
    assert texts(artifact) == ALL
    assert len(server.requests) == 12
    assert 1 < server.most_at_a_time <= 4
    _, body, _ = server.requests[0]
    assert body["messages"][0] == {"role": "system", "content": "You name keys."}
    assert body["max_tokens"] == 256
    first, second, *_ = read_lines(artifact.path / "records.jsonl")
    assert first["id"].endswith("texts.jsonl:1")
    origin = first["provenance"]
    assert origin["teacher"] == "bard"
    assert origin["prompt"] == "ask.jinja"
    assert origin["tries"] == 1
    assert origin["seed"] != second["provenance"]["seed"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", origin["time"])
    assert {len(origin["prompt_version"])} == {12}
    facts = artifact.facts
    assert (facts["num_items"], facts["num_records"], facts["num_rejected"]) == (12, 12, 0)
    assert facts["tries"] == {"1": 12}
    shown = capsys.readouterr().out
    assert "items: 12; tokens of prompts: about" in shown
    assert "12 answers now, of 12 in all" in shown
    assert "120 + 24" in shown  # tokens
    again = run("seed=5", f"paths.runs={tmp_path / 'other'}")
    assert len(server.requests) == 12
    assert read_lines(again.path / "records.jsonl") == read_lines(artifact.path / "records.jsonl")
    run("seed=6", f"paths.runs={tmp_path / 'third'}")
    assert len(server.requests) == 24


def test_answers_that_do_not_fit_are_asked_again_with_the_reason_and_then_rejected(
    run: Run, server: Stub, tmp_path: Path
) -> None:
    pytest.importorskip("jsonschema")
    (tmp_path / "key.json").write_text(
        '{"type": "object", "properties": {"key": {"type": "integer"}}, "required": ["key"]}'
    )
    (tmp_path / "ask.jinja").write_text(PROMPT.replace("answer)", "answer.key)"))

    def answers(_path: str, body: dict[str, Any], _number: int) -> Any:
        own, tries = number_of(body), len(body["messages"]) // 2
        if own == 3:
            return streamed("I cannot say.")
        if own == 4 and tries == 1:
            return streamed('{"key": "four"}')
        if own == 5 and tries == 1:
            return [delta('{"key":'), delta(None, "length")]
        return streamed(f'Sure!\n```json\n{{"key": {own}}}\n```\nAnything else?')

    server.answers = answers
    artifact = run(f"synthesis.json_schema={tmp_path / 'key.json'}", "synthesis.max_tries=2")
    lines = [f"number {n} -> {n}" for n in range(12) if n != 3]
    assert texts(artifact) == lines
    assert artifact.facts["rejected"] == {"is no JSON": 1}
    assert artifact.facts["tries"] == {"1": 9, "2": 3}
    (rejected,) = read_lines(artifact.path / "rejected.jsonl")
    assert rejected["answer"] == "I cannot say."
    assert rejected["id"].endswith(":4")
    assert rejected["detail"] == "it has neither { nor ["
    said = {asked(body) for _, body, _ in server.requests if len(body["messages"]) == 4}
    assert "Not so: it is no JSON (it has neither { nor [)." in said
    assert any("does not fit the JSON schema ($.key: 'four' is not of type" in one for one in said)
    assert any("is cut off by generation.max_new_tokens" in one for one in said)


@pytest.mark.usefixtures("_impatient")
def test_a_bad_connection_costs_no_item_and_no_answer_twice(run: Run, server: Stub) -> None:
    seen = Counter[int]()
    answered = Counter[int]()

    def answers(_path: str, body: dict[str, Any], _number: int) -> Any:
        own = number_of(body)
        seen[own] += 1
        if seen[own] == 1 and own < 8:
            return [
                (429, {"Retry-After": "0.01"}, {"error": {"message": "slow down"}}),
                (500, {}, {"error": {"message": "out of memory"}}),
                (503, {}, b"<html>busy</html>"),
                (200, {}, b"<html>hello</html>"),
                [delta("ke")],  # cut off
                [b": nothing of the protocol\n\n"],
                [delta("ke"), "stall"],
                (200, {}, {"choices": []}),
            ][own]
        answered[own] += 1
        return streamed(f"key {own}")

    server.answers = answers
    artifact = run("inference.timeout_s=0.5")
    assert texts(artifact) == ALL
    assert set(answered.values()) == {1}
    assert artifact.facts["num_answers"] == 12


@pytest.mark.usefixtures("_impatient")
def test_a_server_that_stays_bad_ends_the_run_and_what_came_is_there(
    run: Run, server: Stub
) -> None:
    good = server.answers
    server.answers = lambda path, body, number: (
        good(path, body, number) if number <= 3 else (200, {}, b"<html>login</html>")
    )
    with pytest.raises(NotAvailableError, match="does not answer as an OpenAI-compatible server"):
        run("inference.max_tries=3", "inference.num_parallel=1")
    server.answers = good
    server.requests.clear()
    assert texts(run("inference.max_tries=3", "inference.num_parallel=1")) == ALL
    assert len(server.requests) == 9


def test_a_question_that_is_refused_rejects_its_item_and_a_wrong_key_ends_the_run(
    run: Run, server: Stub
) -> None:
    good = server.answers
    server.answers = lambda path, body, number: (
        (400, {}, {"error": {"message": "content filter"}})
        if number_of(body) == 7
        else good(path, body, number)
    )
    artifact = run()
    assert len(texts(artifact)) == 11
    (rejected,) = read_lines(artifact.path / "rejected.jsonl")
    assert rejected["reason"] == "is refused by the teacher or its server"
    assert "content filter" in rejected["detail"]
    server.key = "secret"
    with pytest.raises(ConfigError, match="it needs a key, and OPENAI_API_KEY is not set"):
        run("seed=9")


@pytest.mark.slow
def test_a_killed_run_asks_nothing_twice(words: list[str], server: Stub, tmp_path: Path) -> None:
    good = server.answers
    answered = Counter[int]()
    stalled = threading.Event()

    def answers(path: str, body: dict[str, Any], number: int) -> Any:
        if len(answered) >= 6 and not stalled.is_set():
            stalled.set()
        if stalled.is_set() and not server.ended.is_set() and number < 1000:
            raise StallError
        answered[number_of(body)] += 1
        return good(path, body, number)

    server.answers = answers
    command = [sys.executable, "-m", "musicllm", *words, "inference.num_parallel=1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(artifacts.__file__).parent.parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            assert stalled.wait(240)
            time.sleep(0.2)  # the answers before it are stored
        finally:
            process.send_signal(signal.SIGKILL)
    assert sum(answered.values()) == 6

    def answers_again(path: str, body: dict[str, Any], number: int) -> Any:
        answered[number_of(body)] += 1
        return good(path, body, number)

    server.answers = answers_again
    config, recipe = configuration.load([*words, "inference.num_parallel=1"])
    artifact = artifacts.read(runner.run(config, recipe).folder / "artifact", "records")
    assert texts(artifact) == ALL
    assert answered == Counter(dict.fromkeys(range(12), 1))


def test_a_budget_is_never_exceeded_and_a_larger_one_continues(run: Run, server: Stub) -> None:
    server.answers = lambda _path, body, _number: streamed(f"key {number_of(body)}", tokens=20)
    money = [
        "synthesis.input_price=1e6",
        "synthesis.output_price=2e6",
        "generation.max_new_tokens=20",
        "synthesis.max_tries=1",
    ]
    said = r"synthesis.max_cost=400 is used up: (\d+) are spent, .* of 12 items are finished"
    with pytest.raises(StageError, match=said) as error:
        run(*money, "synthesis.max_cost=400")
    spent = int(re.search(r"(\d+) are spent", str(error.value))[1])  # type: ignore[index]
    assert 200 <= spent <= 400
    assert spent == 50 * len(server.requests)
    with pytest.raises(StageError, match="max_cost=400 is used up"):
        run(*money, "synthesis.max_cost=400")
    assert spent == 50 * len(server.requests)
    assert texts(run(*money, "synthesis.max_cost=1000")) == ALL
    assert len(server.requests) == 12


def test_a_budget_of_tokens_counts_their_upper_bound_where_the_server_does_not_say(
    run: Run, server: Stub
) -> None:
    server.answers = lambda _path, _body, _number: [delta("a key"), delta(None, "stop")]
    with pytest.raises(StageError, match=r"synthesis.max_tokens=2000 is used up: [\d,]+ are spent"):
        run("synthesis.max_tokens=2000", "inference.num_parallel=1")
    assert 3 < len(server.requests) < 12


def test_too_many_rejected_items_stop_the_run_before_all_are_asked(
    run: Run, server: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = lambda _path, _body, _number: streamed("  ")
    with pytest.raises(StageError, match="12 of 12 items are rejected: 12 is empty") as error:
        run("synthesis.max_reject_fraction=0.9", "synthesis.max_tries=1")
    (rejected,) = tmp_path.glob("runs/synthesize/*/partial/rejected.jsonl")
    assert str(rejected) in str(error.value)
    assert len(read_lines(rejected)) == 12
    monkeypatch.setattr(asking, "ENOUGH", 4)
    with pytest.raises(StageError, match="4 of 4 items are rejected, more than"):
        run("seed=8", "synthesis.max_tries=1", "inference.num_parallel=1")
    assert len(server.requests) < 12 + 8


def test_equal_questions_share_an_answer(run: Run, server: Stub, tmp_path: Path) -> None:
    (tmp_path / "ask.jinja").write_text(PROMPT.replace("Text {{ id }}: {{ text }}", "number 1"))
    assert texts(run()) == [f"number {n} -> key 1" for n in range(12)]
    assert len(server.requests) == 1


def test_the_plan_says_what_it_takes_and_asks_nothing(
    words: list[str], server: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["stage=plan", "synthesis.input_price=2", "synthesis.output_price=8"]
    config, recipe = configuration.load([*words, *more])
    runner.run(config, recipe)
    shown = " ".join(capsys.readouterr().out.split())
    assert "items 12" in shown
    assert "tokens of answers at most 3,072" in shown  # 12 x 256
    assert "cost about 0.03" in shown
    assert server.url in shown
    assert server.requests == []


def test_records_are_read_as_a_source_and_a_table_of_translations_is_not(
    run: Run, tmp_path: Path
) -> None:
    artifact = run()
    spec = SourceSpec(
        name="own",
        reader="synthesized",
        location=str(artifact.path),
        format="auto",
        max_records=None,
        cache=tmp_path,
        revision=None,
        kinds=(),
        named_splits=False,
        where=(),
        min_chars=None,
    )
    records = [record for part in find_parts(spec) for record in read_part(part)]
    assert [record["text"] for record in records] == ALL
    assert records[0]["source"] == "own"
    file = artifact.path / "records.jsonl"
    row = json.loads(file.read_text().splitlines()[0])
    file.write_text(json.dumps({**row, "original": "a wording"}))
    with pytest.raises(
        ArtifactError, match=r"is a table of translations, .* inputs\.translations="
    ):
        find_parts(spec)


def test_weights_in_this_process_answer_together_and_what_is_cut_off_is_rejected(
    tmp_path: Path, run: Run
) -> None:
    """A random model finds no end; its answers are counted, stored and not written again."""
    corpus = make_corpus(tmp_path / "corpus", content="messages")
    model = tmp_path / "model"
    small = [
        "model=tiny",
        "model.config.hidden_size=32",
        "model.config.intermediate_size=48",
        "model.config.num_hidden_layers=2",
    ]
    config, _ = configuration.load(["recipe=quickstart/generate", *small])
    with artifacts.writing(model, "model", "m", {}) as (folder, _):
        tokenizer = base.load_tokenizer(corpus.tokenizer_path)
        spec = model_spec(config)
        base.build(spec, seed=0, vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    words = [
        *small,
        "model.endpoint=null",
        f"inputs.model={model}",
        "generation.max_new_tokens=5",
        "generation.temperature=0",
        "synthesis.max_reject_fraction=0.9",
    ]
    said = "12 of 12 items are rejected: 12 is cut off by generation.max_new_tokens"
    for _ in range(2):
        with pytest.raises(StageError, match=said):
            run(*words)
    with closing(sqlite3.connect(tmp_path / "cache" / "answers.sqlite")) as database:
        rows = database.execute("SELECT output_tokens, input_tokens, finished FROM answers")
        (answers,) = [rows.fetchall()]
    assert len(answers) == 36  # it is asked again with the reason, so not the same
    assert {row[0] for row in answers} == {5}
    assert all(row[1] > 10 and not row[2] for row in answers)


def test_a_pace_spreads_the_questions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    put = Desk.put

    def noted(self: Any, question: Any, request: Any) -> None:
        times.append(time.monotonic())
        put(self, question, request)

    monkeypatch.setattr(Desk, "put", noted)
    assert texts(run("synthesis.requests_per_minute=240", "synthesis.max_items=7")) == ALL[:7]
    assert max(times) - min(times) > 0.7  # four at once, then one every 0.25 s


def test_a_kind_from_a_folder_of_the_users_own(
    words: list[str], server: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SYNTHESES, "_kinds", {**SYNTHESES})
    own = tmp_path / "my_kinds"
    own.mkdir()
    (own / "titles.py").write_text(EXAMPLES["titles.py"])
    (own / "titles.jinja").write_text("Name this tune in a few words: {{ text }}")
    long = "a title of more than sixty characters, which nobody can remember or sing"
    server.answers = lambda _path, body, number: streamed(
        long if number == 1 else f"Tune {number_of(body)}"
    )
    command = [word for word in words if not word.startswith("synthesis.prompt")]
    more = [f"extensions=[{own}]", "synthesis.kind=titles", "inference.num_parallel=1"]
    config, recipe = configuration.load([*command, *more])
    artifact = artifacts.read(runner.run(config, recipe).folder / "artifact", "records")
    assert texts(artifact) == [f"T:Tune {n}\nnumber {n}" for n in range(12)]
    assert len(server.requests) == 13
    assert read_lines(artifact.path / "records.jsonl")[0]["source"] == "titles"
