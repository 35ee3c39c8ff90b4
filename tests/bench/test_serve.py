from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from musicllm import cli, console
from musicllm.bench.generate.task import WritingSettings
from musicllm.bench.serve import contestants, run
from musicllm.bench.serve.clients import Site, at_once, one_by_one
from musicllm.bench.serve.task import Load, Served, ServingTask
from musicllm.errors import NotAvailableError, StageError
from tests.inference.servers import Stub, serving
from tests.model import families

SETTINGS = WritingSettings(batch_size=4, num_new_tokens=6, device="cpu", num_threads=None)


def task_of(location: str, work: Path, num_texts: int = 3) -> ServingTask:
    beginnings = tuple(f"X:{number}\nK:C\n" for number in range(num_texts))
    return ServingTask(location, SETTINGS, beginnings, work)


def load(seconds: float, first: float, num_tokens: int = 100, text: str = "a") -> Load:
    return Load(seconds, (first, first), (text, "b"), num_tokens)


def test_ratios_are_of_medians_per_token(tmp_path: Path) -> None:
    engine = Served(load(2.0, 0.1), load(1.0, 0.2))
    ours = [Served(load(seconds, 0.11), load(2 * seconds, 0.3, 200)) for seconds in (2.5, 9, 2)]
    result = run.compared(
        {
            run.ENGINE: [engine] * 3,
            run.OURS: ours,
            run.BASELINE: [Served(load(5.0, 0.33), load(5.0, 1.5, text="other"))] * 3,
        },
        task_of("", tmp_path, 2),
    )
    assert result.ratios == pytest.approx(
        {
            "first_token_vs_engine": 1.1,
            "single_rate_vs_engine": 0.8,
            "many_rate_vs_engine": 0.4,
            "first_token_vs_transformers_serve": 3,
            "single_rate_vs_transformers_serve": 2,
            "many_rate_vs_transformers_serve": 2,
            "many_first_token_vs_transformers_serve": 5,
        }
    )
    assert set(result.ratios) == set(result.goals)
    assert result.timings["recipe=serve, one client"].rate == pytest.approx(40)
    assert result.facts["texts_as_the_engine_alone"] == {
        run.ENGINE: 2,
        run.OURS: 2,
        run.BASELINE: 1,
    }


def event(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": None}], **more}


def test_clients_note_pieces_and_tokens(tmp_path: Path) -> None:
    def answers(_path: str, _body: dict[str, Any], _number: int) -> list[Any]:
        usage = {"choices": [], "usage": {"completion_tokens": 7}}
        return [b": waiting 1\n\n", event(""), event("AB"), event("c|"), usage, b"data: [DONE]\n\n"]

    requests = task_of("", tmp_path).requests()
    with serving(Stub(answers)) as stub:
        site = Site(stub.url.removesuffix("/v1"), "bard", {"seed": 1})
        for send in (one_by_one, at_once):
            got = send(site, requests)
            assert (got.texts, got.num_tokens) == (("ABc|",) * 3, 21)
            assert all(0 < first <= got.seconds for first in got.first_piece_s)
        body = stub.requests[0][1]
    assert (body["model"], body["prompt"], body["max_tokens"]) == ("bard", "X:0\nK:C\n", 6)
    assert (body["temperature"], body["stream"], body["seed"]) == (0.0, True, 1)


def test_a_server_that_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    with serving(Stub(lambda *_: (400, {}, {"error": "no such field"}))) as stub:
        site = Site(stub.url.removesuffix("/v1"), "bard", {})
        with pytest.raises(StageError, match=r"answers 400: .*no such field"):
            one_by_one(site, task_of("", tmp_path).requests())


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no model here'); raise SystemExit(3)"]
    with (
        pytest.raises(StageError, match=r"does not serve:\n  no model here"),
        contestants.running(command, tmp_path / "log", lambda _: None),
    ):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    not all(map(find_spec, run.NEEDED)), reason="the packages of the servers are not installed"
)
def test_all_contestants_serve_all_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "quiet", True)  # a contestant mutes its process
    folder = families.write(tmp_path / "model", "llama", max_position_embeddings=512)
    config = folder / "generation_config.json"
    ends = {"eos_token_id": families.tokenizer().eos_token_id, "bos_token_id": None}
    config.write_text(json.dumps(ends))
    task = task_of(str(folder), tmp_path)
    alone, ours, baseline = (
        contestant(task)
        for contestant in (contestants.engine, contestants.ours, contestants.transformers)
    )
    assert alone.single.texts == alone.many.texts
    for served in (ours, baseline):
        assert served.single.texts == served.many.texts == alone.single.texts
        assert served.single.num_tokens > 0
    assert ours.single.num_tokens == ours.many.num_tokens == alone.single.num_tokens


def test_random_weights_and_no_tokens_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ["model.location=null", "bench.num_new_tokens=null", f"paths.runs={tmp_path}"]
    monkeypatch.setattr(run, "find_spec", lambda _: True)
    assert cli.main(["recipe=bench/serve", *wrong]) != 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert "bench.num_new_tokens=null must be set" in told
    assert "model.location=null has random weights here" in told


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: name if name == "fastapi" else None)
    settings: Any = None  # not even looked at
    with pytest.raises(NotAvailableError) as error:
        run.run(settings)
    assert str(error.value) == (
        "bench.name=serve needs uvicorn and typer and openai: pip install 'musicllm[serve]' "
        "'transformers[serving]'"
    )
