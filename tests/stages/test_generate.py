"""The generate stage: from prompts to checked answers, killed, continued, selected and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.data.records import Message
from musicllm.errors import ArtifactError, ConfigError, InputError, StageError
from musicllm.inference.engines import ENGINES
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.launch import runner
from musicllm.model import base
from musicllm.report.runs import read_lines
from musicllm.report.scores import read_scores
from musicllm.runs.settings import model_spec
from musicllm.stages import generate
from tests.helpers import make_corpus, make_tune

SMALL = (
    "model.config.hidden_size=32", "model.config.intermediate_size=48",
    "model.config.num_hidden_layers=2",
    "generation.max_new_tokens=24", "generation.render=[]", "hardware.num_threads=1",
    "generation.grammar=null", "generation.tune.required=false",
)  # fmt: skip

Run = Callable[..., Artifact]
SHORT = make_tune(1).replace(" |]", "C |]")
"""A tune whose last bar is too long."""


class Scripted:
    """An engine that writes a tune for each request, last one first.

    Args:
        stop: raises after this many answers.
        write: text of a request.
        error: that it raises.
    """

    context: int | None = 400

    def __init__(
        self,
        write: Callable[[WritingRequest], str] | None = None,
        stop: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self.requests: list[WritingRequest] = []
        self.closed = False
        self._write = write or (lambda request: make_tune(request.seed))
        self._left = stop
        self._error = error or StageError("the power is gone")

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        return len(prompt if isinstance(prompt, str) else prompt[-1]["content"])

    def write(
        self, requests: Sequence[WritingRequest], on_piece: object = None
    ) -> Iterator[tuple[int, Completion]]:
        for index in reversed(range(len(requests))):
            if self._left is not None:
                if not self._left:
                    raise self._error
                self._left -= 1
            self.requests.append(requests[index])
            yield index, Completion(self._write(requests[index]), 5, True, 3)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run quickstart/generate with a random model and a corpus of requests."""
    corpus = make_corpus(tmp_path / "instructions", content="messages")
    model = tmp_path / "model"
    with artifacts.writing(model, "model", "m", {}) as (folder, _):
        tokenizer = base.load_tokenizer(corpus.tokenizer_path)
        config, _recipe = configuration.load(["recipe=quickstart/generate", *SMALL])
        spec = model_spec(config)
        base.build(spec, seed=0, vocab_size=len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    def run_with(*words: str, model_path: Path = model) -> Artifact:
        config, recipe = configuration.load(
            [
                "recipe=quickstart/generate",
                *SMALL,
                f"paths.runs={tmp_path / 'runs'}",
                f"paths.cache={tmp_path / 'cache'}",
                f"inputs.model={model_path}",
                f"inputs.instructions={corpus.path}",
                *words,
            ]
        )
        outcome = runner.run(config, recipe)
        return artifacts.read(outcome.folder / "artifact", "tunes")

    return run_with


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    """Put a scripted engine in the place of the model's."""

    def put(*args: Any, **settings: Any) -> Scripted:
        scripted = Scripted(*args, **settings)
        monkeypatch.setattr(generate, "open_engine", lambda _: scripted)
        return scripted

    return put


def lines_of(artifact: Artifact) -> list[dict[str, Any]]:
    return read_lines(artifact.path / "generations.jsonl")


def prompt_file(path: Path, count: int) -> str:
    rows = [{"id": f"p{number}", "prompt": f"Tune {number}."} for number in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return f"generation.prompts={path}"


def test_an_untrained_model_answers_drawn_prompts_and_its_failure_is_recorded(run: Run) -> None:
    artifact = run("generation.num_prompts=2")
    lines = lines_of(artifact)
    assert [line["prompt"] for line in lines] == ["Write a reel in D."] * 2
    assert lines[0]["seed"] != lines[1]["seed"]
    assert all(line["answer"] and line["num_prompt_tokens"] for line in lines)
    metrics = artifact.facts["metrics"]
    assert (metrics["num_answers"], metrics["num_parsing"], metrics["bars_fitting"]) == (2, 0, None)


def test_answers_are_in_the_order_of_the_prompts_with_every_tune_checked(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = f"Two tunes:\n\n{make_tune(1)}\n\n{SHORT}\nEnjoy."
    scripted = engine(lambda request: two if request.seed % 2 else "none")
    file = prompt_file(tmp_path / "prompts.jsonl", 20)
    artifact = run(file, "generation.temperature=0.5")
    lines = lines_of(artifact)
    assert [line["id"] for line in lines] == [f"p{number}" for number in range(20)]
    assert [line["name"] for line in lines[:2]] == ["001", "002"]
    assert scripted.closed
    assert {request.settings.temperature for request in scripted.requests} == {0.5}
    num_pairs = sum(line["seed"] % 2 for line in lines)
    assert 0 < num_pairs < 20
    for line in lines:
        assert line["answer"] == (two if line["seed"] % 2 else "none")
        assert [tune["parses"] for tune in line["tunes"]] == [True] * 2 * (line["seed"] % 2)
        assert line["measures"]["parses"] == line["seed"] % 2
    metrics = artifact.facts["metrics"]
    assert metrics["num_tunes"] == metrics["num_parsing"] == 2 * num_pairs
    assert metrics["bars_fitting"] == 1 - 1 / (2 * len(make_tune(1).split("|")[:-1]))
    book = (artifact.path / "tunes.abc").read_text()
    assert book.count("X:") == 2 * num_pairs
    assert f"\n\nX:{2 * num_pairs}\n" in book
    out = capsys.readouterr().out
    assert "20 of 20 (100.0%)" in out
    assert f"{20 - num_pairs} have no tune" in out
    assert len(read_scores(artifact)) == 20 + num_pairs


def test_a_stopped_run_continues_without_repeating_or_losing_one(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [prompt_file(tmp_path / "prompts.jsonl", 9), "generation.num_candidates=2"]
    scripted = engine()
    whole = run(*words)
    assert len(scripted.requests) == 18
    again = [*words, f"paths.runs={tmp_path / 'again'}"]
    for stop in (5, 4):
        stopped = engine(stop=stop)
        with pytest.raises(StageError, match="the power is gone"):
            run(*again)
        assert len(stopped.requests) == stop
        assert stopped.closed
    assert "9 answers are in " in capsys.readouterr().err
    (partial,) = tmp_path.glob("again/quickstart/generate/*/partial/generations.jsonl")
    torn = partial.read_bytes()[:-20]
    partial.write_bytes(torn)  # a process that was killed while it wrote
    last = engine()
    artifact = run(*again)
    assert len(last.requests) == 10
    assert "8 of 18 answers are there already" in capsys.readouterr().out
    for name in ("generations.jsonl", "candidates.jsonl", "tunes.abc"):
        assert (artifact.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert not partial.parent.exists()


def test_a_run_that_stops_says_only_what_is_true(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [prompt_file(tmp_path / "prompts.jsonl", 3)]
    for settings, told in (
        ({"stop": 0}, False),
        ({"stop": 1, "error": InputError("no such note")}, False),
        ({"stop": 1}, True),
    ):
        engine(**settings)
        with pytest.raises((InputError, StageError)):
            run(*words)
        assert ("the same command continues" in capsys.readouterr().err) == told


def test_what_is_shown_of_one_prompt_is_in_the_singular_and_without_control_characters(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine(lambda _: "none")
    path = tmp_path / "p.jsonl"
    rows = [{"id": "a\x1b[31m\nb", "prompt": "A reel."}, {"id": "c", "prompt": "la " * 140}]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    run(f"generation.prompts={path}", "generation.long_prompts=skip", "generation.keep=true")
    told = capsys.readouterr()
    assert "1 blank line of the prompts is passed over" in told.err
    assert "1 prompt is skipped, since it leaves no room for an answer" in told.err
    assert "(a<U+001B>[31m<U+000A>b)" in told.out
    assert "train on them" not in told.out


def test_settings_and_rules_of_a_line_go_before_those_of_the_configuration(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    path = tmp_path / "p.jsonl"
    turns = [{"role": "system", "content": "Fiddle."}, {"role": "user", "content": "Go"}]
    rows: list[dict[str, Any]] = [
        {"messages": turns, "settings": {"temperature": 0, "max_new_tokens": 7}},
        {"text": "X:1\nL:1/8\nM:3/4\nK:D\n", "tune": {"key": "D", "chords": ["D", "A7"]}},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(InputError, match=r"p\.jsonl:2 has a tune, .*; write generation\.grammar="):
        run(f"generation.prompts={path}")
    scripted = engine(lambda request: "ABcd ABcd |]\n" if request.text else "no")
    artifact = run(
        f"generation.prompts={path}", "generation.grammar=abc", "generation.tune.metre=3/4"
    )
    second, first = scripted.requests
    assert first.messages == tuple(turns)
    assert (first.settings.temperature, first.settings.max_new_tokens) == (0, 7)
    assert first.rules is not None
    assert (first.rules.metre, first.rules.key, first.rules.chords) == ("3/4", None, ())
    assert (second.messages, second.text) == (None, "X:1\nL:1/8\nM:3/4\nK:D\n")
    assert second.rules is not None
    assert (second.rules.metre, second.rules.key, second.rules.chords) == ("3/4", "D", ("D", "A7"))
    line = lines_of(artifact)[1]
    assert line["tunes"][0]["abc"].startswith(
        "X:1\nL:1/8\nM:3/4\nK:D\nABcd"
    )  # the beginning counts
    assert line["measures"]["as_asked"] == pytest.approx(
        2 / 3, abs=1e-5
    )  # key and metre; no chords


def test_the_best_candidate_is_selected_all_are_told_and_good_ones_kept(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds: dict[str, list[int]] = {}

    def write(request: WritingRequest) -> str:
        assert request.messages is not None
        own = seeds.setdefault(request.messages[0]["content"], [])
        own.append(request.seed)
        if request.messages[0]["content"] == "Tune 1.":
            return SHORT
        return make_tune(2) if len(own) == 2 else "none"

    engine(write)
    words = [prompt_file(tmp_path / "prompts.jsonl", 2), "generation.num_candidates=3"]
    artifact = run(*words, "generation.keep=true", "generation.min_score=0.95")
    first, second = lines_of(artifact)
    assert first["answer"] == make_tune(2)
    assert first["seed"] == seeds["Tune 0."][1]
    assert (first["score"], first["mean_score"]) == (1.0, pytest.approx(1 / 3))
    assert (first["is_kept"], second["is_kept"]) == (True, False)
    candidates = read_lines(artifact.path / "candidates.jsonl")
    assert [line["candidate"] for line in candidates] == [0, 1, 2] * 2
    assert [line["selected"] for line in candidates] == [False, True, False, True, False, False]
    (kept,) = read_lines(artifact.path / "kept.jsonl")
    assert kept["id"] == "p0"
    assert kept["messages"][1] == {"role": "assistant", "content": make_tune(2)}
    assert "all 3 candidates" in capsys.readouterr().out


def test_kept_answers_are_the_next_corpus(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    engine()
    file = prompt_file(tmp_path / "prompts.jsonl", 40)
    generation = run(file, "generation.keep=true")

    def prepare(*words: str) -> Artifact:
        config, recipe = configuration.load(
            [
                "recipe=quickstart/instructions", "data=generations", "data.tokenizer=inherit",
                "data.max_length=256", f"inputs.corpus={tmp_path / 'instructions'}",
                f"paths.runs={tmp_path / 'next'}", "engine.num_workers=1", *words,
            ]
        )  # fmt: skip
        return artifacts.read(runner.run(config, recipe).folder / "artifact", "corpus")

    corpus = prepare(f"inputs.generations={generation.path}")
    assert corpus.facts["splits"]["train"]["documents"] >= 36
    texts = (corpus.path / "records" / "train").glob("*.jsonl")
    record = read_lines(next(texts))[0]
    assert record["messages"][0]["content"].startswith("Tune ")
    assert record["source"] == "generations"
    other = run(file, "seed=5")
    with pytest.raises(ArtifactError, match=r"has no kept\.jsonl: .* generation\.keep=true"):
        prepare(f"inputs.generations={other.path}", "seed=2")
    engine(lambda _: "none")
    empty = run(file, "seed=6", "generation.keep=true")
    with pytest.raises(ArtifactError, match=r"is empty: no answer reached generation\.min_score"):
        prepare(f"inputs.generations={empty.path}", "seed=3")
    with pytest.raises(ArtifactError, match=r"inputs\.generations is not set"):
        prepare()
    with pytest.raises(ArtifactError, match=r"is of kind corpus, and a tunes is needed here"):
        prepare(f"inputs.generations={corpus.path}")


def test_a_measure_that_compares_needs_the_training_texts(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    engine()
    words = [prompt_file(tmp_path / "prompts.jsonl", 2), "generation.select=novelty"]
    measures = lines_of(run(*words))[0]["measures"]
    assert 0 < measures["novelty"] <= 1
    with pytest.raises(ConfigError, match=r"generation\.select=novelty compares with the training"):
        run(*words, "~inputs.instructions")


def test_long_prompts_are_refused_with_their_places_or_skipped_and_counted(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine()
    path = tmp_path / "p.txt"
    path.write_text(f"A reel.\n{'la ' * 140}\n{'la ' * 127}\n")
    with pytest.raises(InputError) as caught:
        run(f"generation.prompts={path}")
    assert f"2 of 3 prompts leave no room for their answers:\n  {path}:2 has 419" in str(
        caught.value
    )
    artifact = run(f"generation.prompts={path}", "generation.long_prompts=skip")
    first, second, third = lines_of(artifact)
    assert not first["skipped"]
    assert second["skipped"] == "has 419 tokens, and the model 400 positions"
    assert "leaves 20 of 400 positions for max_new_tokens=24" in third["skipped"]
    assert artifact.facts["metrics"]["num_skipped"] == 2
    assert "1 of 3 (33.3%)" in capsys.readouterr().out


def test_an_engine_that_cannot_follow_the_grammar_is_told(
    run: Run,
    engine: Callable[..., Scripted],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(lambda _: SHORT)
    words = ["generation.prompts=[A reel.]", "generation.grammar=abc"]
    assert lines_of(run(*words))[0]["breach"] is None
    told = capsys.readouterr()
    assert "cannot follow" not in told.err
    assert "answers that break a rule" not in told.out
    monkeypatch.setattr(generate, "engine_name", lambda _: "transformers")
    kind = ENGINES["transformers"]._replace(follows_grammar=False)
    monkeypatch.setattr(ENGINES, "_kinds", {**ENGINES, "transformers": kind})
    artifact = run(*words, "seed=2")
    assert "cannot stand here in a legal tune" in lines_of(artifact)[0]["breach"]
    assert artifact.facts["metrics"]["num_breaches"] == 1
    told = capsys.readouterr()
    assert "answers that break a rule" in told.out
    assert "the engine transformers cannot follow generation.grammar=abc bar by bar" in told.err
    assert "7 of 8 bars fit" in told.out


def test_the_content_of_a_prompt_file_is_part_of_the_identity(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    engine()
    first = run(prompt_file(tmp_path / "a.jsonl", 2))
    assert run(prompt_file(tmp_path / "a.jsonl", 3)).fingerprint != first.fingerprint
    (tmp_path / "other").mkdir()
    assert run(prompt_file(tmp_path / "other" / "a.jsonl", 2)).fingerprint == first.fingerprint


def test_messages_for_a_model_without_a_template_are_refused(run: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "model").glob("*template*"):
        file.unlink()
    settings = tmp_path / "model" / "tokenizer_config.json"
    content = json.loads(settings.read_text())
    content.pop("chat_template", None)
    settings.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"has no chat template, so a model with it continues"):
        run("generation.prompts=[A reel.]")


def test_an_adapter_that_does_not_know_its_base_is_refused(run: Run, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    with artifacts.writing(adapter, "adapter", "a", {}):
        pass
    with pytest.raises(
        ArtifactError,
        match=r"does not say which base it was trained on; write inputs\.adapter=",
    ):
        run(model_path=adapter)


def test_tunes_are_rendered_as_wanted_and_rendering_continues(
    run: Run,
    engine: Callable[..., Scripted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine(lambda request: f"{make_tune(1)}\n\n{make_tune(2)}" if request.seed % 2 else "none")
    words = [prompt_file(tmp_path / "prompts.jsonl", 6), "generation.render=[MIDI]"]
    render = generate.render_answers
    broken = iter([True])

    def stopping(jobs: Any, *args: Any) -> None:
        if next(broken, False):
            render(iter([next(jobs), next(jobs)]), *args)
            raise InputError("the power is gone")
        render(jobs, *args)

    monkeypatch.setattr(generate, "render_answers", stopping)
    with pytest.raises(InputError, match="the power is gone"):
        run(*words)
    monkeypatch.setattr(generate, "open_engine", lambda _: pytest.fail("all answers are there"))
    artifact = run(*words)
    artifact.verify()
    for line in lines_of(artifact):
        assert len(line["tunes"]) == 2 * (line["seed"] % 2)
        for tune in line["tunes"]:
            assert tune["files"] == [f"{tune['name']}.abc", f"{tune['name']}.mid"]
            assert all((artifact.path / "tunes" / file).is_file() for file in tune["files"])
    cards = read_scores(artifact)
    assert {len(card.downloads) for card in cards if card.parses} == {2}


def test_an_answer_with_faults_is_tried_again_until_it_has_none(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns: dict[str, int] = {}

    def write(request: WritingRequest) -> str:
        assert request.messages is not None
        name = request.messages[0]["content"]
        turns[name] = turns.get(name, 0) + 1
        needed = {"Tune 0.": 1, "Tune 1.": 3, "Tune 2.": 9}[name]
        return make_tune(1) if turns[name] == needed else SHORT

    scripted = engine(write)
    words = [prompt_file(tmp_path / "prompts.jsonl", 3), "generation.tries=4"]
    artifact = run(*words)
    assert turns == {"Tune 0.": 1, "Tune 1.": 3, "Tune 2.": 4}
    lines = lines_of(artifact)
    assert [(line["try"], line["num_tries"]) for line in lines] == [(1, 1), (3, 3), (1, 4)]
    assert [line["faults"] for line in lines] == [[], [], ["bar 8 lasts 9/8 instead of 8/8"]]
    assert [line["saw_faults"] for line in lines] == [False, True, False]
    assert [line["num_tokens_of_tries"] for line in lines] == [5, 15, 20]
    tries = read_lines(artifact.path / "tries.jsonl")
    assert [(line["id"], line["try"]) for line in tries] == [
        ("p0", 1), ("p1", 1), ("p1", 2), ("p1", 3), ("p2", 1), ("p2", 2), ("p2", 3), ("p2", 4),
    ]  # fmt: skip
    metrics = artifact.facts["metrics"]
    assert metrics["num_right_by_try"] == [1, 1, 2, 2]
    assert (metrics["num_right"], metrics["num_tries"], metrics["num_tokens_of_tries"]) == (
        2,
        8,
        40,
    )
    out = " ".join(capsys.readouterr().out.split())
    assert "answers without a fault 2 of 3 (66.7%)" in out
    assert "of them after 1 to 4 tries 1 · 1 · 2 · 2" in out
    told = [request.messages for request in scripted.requests if len(request.messages or ()) > 1]
    assert len(told) == 5
    assert all("bar 8 lasts 9/8" in str(messages) for messages in told)


def test_tries_that_were_written_before_a_stop_are_not_written_again(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    def write(request: WritingRequest) -> str:
        return make_tune(request.seed) if request.seed % 4 == 0 else SHORT

    words = [prompt_file(tmp_path / "prompts.jsonl", 6), "generation.tries=3"]
    words += ["generation.num_candidates=2"]
    scripted = engine(write)
    whole = run(*words)
    again = [*words, f"paths.runs={tmp_path / 'again'}"]
    total = 0
    for stop in (7, 8):
        stopped = engine(write, stop=stop)
        with pytest.raises(StageError, match="the power is gone"):
            run(*again)
        total += len(stopped.requests)
    last = engine(write)
    artifact = run(*again)
    assert total + len(last.requests) == len(scripted.requests)
    for name in ("generations.jsonl", "candidates.jsonl", "tries.jsonl", "tunes.abc"):
        assert (artifact.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_the_first_try_is_the_answer_without_tries(
    run: Run, engine: Callable[..., Scripted], tmp_path: Path
) -> None:
    words = [prompt_file(tmp_path / "prompts.jsonl", 4), "generation.num_candidates=2"]
    engine()
    one = run(*words)
    engine()
    more = run(*words, "generation.tries=3", "generation.repair=again")
    assert not (one.path / "tries.jsonl").exists()
    assert lines_of(one) == lines_of(more)
