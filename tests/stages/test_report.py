"""The report stage: from the artifacts of a chain to report.html, and commands that compose."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.job import public
from musicllm.launch import runner


def made(runs: Path, recipe: str, kind: str, inputs: dict[str, str], **facts: object) -> str:
    """Make an empty artifact with the provenance that its recipe gives it; return its folder."""
    path = runs / recipe / "made" / "artifact"
    config, _ = configuration.load([f"recipe={recipe}"])
    provenance = {
        "recipe": recipe,
        "config": public(config),
        "inputs": {role: {"path": folder, "fingerprint": "0"} for role, folder in inputs.items()},
        "musicllm": "0.1.0",
        "commit": None,
        "python": "3.11.2",
        "packages": {},
    }
    with artifacts.writing(path, kind, "0", provenance) as (folder, recorded):
        recorded.update(facts)
        if kind == "tunes":
            recorded["metrics"] = {"num_prompts": 0}
            (folder / "generations.jsonl").write_text("")
    return str(path)


def report(runs: Path, **inputs: str) -> Path:
    """Run the stage on these inputs alone; return the run folder."""
    words = [f"inputs.{role}={path}" for role, path in inputs.items()]
    unused = {"corpus", "pretrain", "instructions", "sft", "merge", "evaluation", "tunes", "free"}
    words += [f"~inputs.{role}" for role in sorted(unused - set(inputs))]
    config, recipe = configuration.load(["recipe=quickstart/report", f"paths.runs={runs}", *words])
    return runner.run(config, recipe).folder


def test_page_is_the_artifact_and_stands_in_the_run_folder(tmp_path: Path) -> None:
    model = made(tmp_path, "quickstart/pretrain", "model", {"corpus": "runs/corpus"})
    folder = report(tmp_path, pretrain=model)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page == (folder / "artifact" / "report.html").read_text(encoding="utf-8")
    artifacts.read(folder / "artifact", "report").verify()
    assert "<h1>quickstart</h1>" in page
    assert "No tunes were given to this report" in page
    assert "installed as a package" in page


def test_commands_on_the_page_compose(tmp_path: Path) -> None:
    model = made(tmp_path, "quickstart/pretrain", "model", {"corpus": "runs/corpus"},
                 chosen={"num_steps": 240})  # fmt: skip
    tunes = made(tmp_path, "quickstart/generate", "tunes", {"model": model})
    folder = report(tmp_path, pretrain=model, tunes=tunes)
    page = (folder / "report.html").read_text(encoding="utf-8")
    lines = [
        shlex.split(html.unescape(line))
        for line in re.findall(r'<dd><pre class="wrap">(.*?)</pre>', page, re.DOTALL)
    ]
    assert [line[:3] for line in lines] == [["python", "-m", "musicllm"]] * 3
    longer, more, own = (configuration.load(line[3:])[0] for line in lines)
    assert longer.training.max_steps == 480
    assert longer.inputs == {"corpus": "runs/corpus"}
    assert (more.generation.num_prompts, more.seed) == (12, 1235)
    assert more.inputs["model"] == model
    assert own.generation.prompts == ["Write a jig in G major."]
    assert own.hardware.name == "cpu"
    assert own.inputs == {"model": str(Path(model).parent)}
