"""The report page: what it shows, what it says is missing, and what it can never load or run."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError
from musicllm.report.assemble import assemble
from musicllm.report.page import NextCommand, render

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 60">'
    + "".join(f'<path d="M0 {y}H400" stroke="#000"/>' for y in range(10, 51, 10))
    + "</svg>"
)
ABC = "X:1\nT:{title}\nM:6/8\nL:1/8\nK:D\n|: A2d fed | Bcd AFD :|\n"
ATTACK = '<script>alert("x")</script><img src="http://evil.example/x.png" onerror="alert(1)">'


GENERATION = {"num_candidates": 1, "select": "bars_fitting", "grammar": None}
LINK = "https://editor.example/?t=X%3A1%0AT%3AAir"


def made(root: Path, recipe: str, kind: str, task: str, **facts: object) -> Path:
    """Write an artifact without files of its own; return its folder."""
    path = root / recipe / "0123456789ab" / "artifact"
    path.parent.mkdir(parents=True)
    (path.parent / "config.yaml").write_text(f"task: {task}\nseed: 1234\n")
    (path.parent / "summary.json").write_text('{"seconds": 90.0}')
    provenance = {
        "recipe": recipe,
        "config": {"task": task, "generation": GENERATION},
        "inputs": {},
        "musicllm": "0.1.0",
        "commit": "ba749a9",
        "python": "3.11.2",
        "packages": {"torch": "2.13.0"},
    }
    with artifacts.writing(path, kind, "0123456789ab", provenance) as (_, recorded):
        recorded.update(facts)
    return path


def trained(root: Path, recipe: str, num_steps: int, floor: float) -> Artifact:
    path = made(root, recipe, "adapter", "train")
    plan = {"num_steps": num_steps, "rows_per_step": 4, "tokens_per_step": 2048}
    (path.parent / "plan.json").write_text(json.dumps(plan))
    lines = []
    for step in range(10, num_steps + 1, 10):
        loss = floor + 3 * math.exp(-step / 90) + 0.04 * math.sin(step)
        line = {"step": step, "train/loss": loss}
        lines.append(line | ({"val/loss": loss + 0.05} if step % 100 == 0 else {}))
    (path.parent / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return artifacts.read(path)


def tune(name: str, title: str, **changes: object) -> dict[str, object]:
    """Return a line of generations.jsonl with one tune; changes are of the tune or of the line."""
    abc = ABC.format(title=title)
    own = {
        "name": name,
        "title": title,
        "abc": abc,
        "parses": True,
        "num_bars": 8,
        "num_bars_fitting": 7,
        "sound_engine": "additive synthesis",
        "problems": [],
        "editor_link": LINK,
    }
    line = {
        "name": name,
        "prompt": "Write a tune in ABC notation.\nRhythm: jig\nKey: D",
        "answer": abc,
        "seed": 1234,
        "finished": True,
        "skipped": "",
    }
    tunes = [own | {key: value for key, value in changes.items() if key in own}]
    return line | {"tunes": tunes} | {key: changes[key] for key in changes if key not in own}


def with_tunes(
    root: Path, lines: list[dict[str, Any]], recipe: str = "quickstart/generate"
) -> Artifact:
    path = made(root, recipe, "tunes", "generate", metrics={"num_prompts": len(lines)})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (path / "generations.jsonl").write_text(text)
    folder = path / "tunes"
    folder.mkdir()
    for tune in (tune for line in lines for tune in line["tunes"]):
        if tune["parses"]:
            (folder / f"{tune['name']}.svg").write_text(SVG)
            (folder / f"{tune['name']}.abc").write_text(str(tune["abc"]))
            (folder / f"{tune['name']}.mid").write_bytes(b"MThd")
            (folder / f"{tune['name']}.mp3").write_bytes(b"\xff\xfb\x90\x00")
    return artifacts.read(path)


def evaluated(root: Path) -> Artifact:
    path = made(root, "quickstart/evaluate", "evaluation", "evaluate")
    compression = {
        "bits_per_character": 2.046,
        "bits_per_character_low": 2.012,
        "bits_per_character_high": 2.081,
        "xz_bits_per_character": 2.84,
        "ratio_xz": 1.388,
        "num_documents": 411,
    }
    theory = {"accuracy": 0.3125, "accuracy_low": 0.257, "accuracy_high": 0.374}
    models = {
        "model": {"compression": compression, "theory": theory},
        "baseline": {"compression": compression | {"bits_per_character": 2.101}},
        "reference": {"theory": {"accuracy": 0.25}},
    }
    (path / "results.json").write_text(json.dumps({"models": models}))
    return artifacts.read(path)


def prepared(root: Path, recipe: str) -> Artifact:
    size = {"tokens": 741_000, "supervised_tokens": 738_500, "rows": 1466}
    train = {"documents": 2_500, "by_source": {"airdsAirs": 1_000, "oneills1850": 1_500}}
    test = {"documents": 288, "by_source": {"airdsAirs": 100, "oneills1850": 188}}
    facts = {
        "sources": ["airdsAirs", "oneills1850"],
        "kinds": {"scores": 2_788, "knowledge": 0},
        "read": {"oneills1850": 1_850, "airdsAirs": 1_200},
        "dropped": {
            "airdsAirs": {"near_duplicate": 40},
            "oneills1850": {"near_duplicate": 60, "bars_do_not_fit": 12},
        },
        "splits": {"train": train | size | {"packing_efficiency": 0.9871}, "test": test},
    }
    return artifacts.read(made(root, recipe, "corpus", "prepare", **facts))


@pytest.fixture
def chain(tmp_path: Path) -> dict[str, Artifact]:
    """A whole quickstart, as its report step finds it."""
    return {
        "corpus": prepared(tmp_path, "quickstart/prepare"),
        "pretrain": trained(tmp_path, "quickstart/pretrain", 1000, 0.95),
        "sft": trained(tmp_path, "quickstart/sft", 200, 0.8),
        "merge": artifacts.read(made(tmp_path, "quickstart/merge", "model", "merge")),
        "evaluation": evaluated(tmp_path),
        "tunes": with_tunes(
            tmp_path,
            [
                tune("001", "The Kerry Jig"),
                tune("002", "Lady Ann", finished=False, num_bars_fitting=8),
                tune("003", "", answer="la la", tunes=[]),
            ],
        ),
    }  # fmt: skip


class _Loads(HTMLParser):
    """Collects everything that a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            loads = name in {"src", "srcset", "poster", "data", "action"} or (
                name in {"href", "xlink:href"} and tag != "a"
            )
            self.addresses += [value or ""] if loads else []


def page_of(inputs: dict[str, Artifact]) -> str:
    commands = [NextCommand("Write more", "python -m musicllm recipe=quickstart/generate")]
    return render(assemble(inputs, "quickstart", commands))


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the cells of every table row by its head."""
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', page)
    return {head: re.findall(r'<td class="number">([^<]*)', cells) for head, cells in rows}


def assert_loads_nothing(page: str) -> None:
    seen = _Loads()
    seen.feed(page)
    assert all(address.startswith(("data:", "#")) for address in seen.addresses)
    assert not seen.tags & {"script", "iframe", "object", "embed", "base", "form"}
    assert not seen.handlers
    assert not re.search(r"url\((?!#)|@import", page)


def test_page_loads_and_runs_nothing_from_elsewhere(chain: dict[str, Artifact]) -> None:
    page = page_of(chain)
    assert_loads_nothing(page)
    assert "://" not in page.replace(f'<a href="{LINK}" target="_blank"', "")


def test_the_check_for_loading_can_fail() -> None:
    for bad in (ATTACK, '<style>@import "x.css"</style>', '<link href="https://a.example/b.css">'):
        with pytest.raises(AssertionError):
            assert_loads_nothing(bad)


def test_model_text_is_escaped_everywhere(tmp_path: Path) -> None:
    line = tune("001", ATTACK, prompt=ATTACK, answer=ATTACK, problems=[ATTACK], sound_engine=ATTACK)
    page = page_of({"tunes": with_tunes(tmp_path, [line])})
    assert_loads_nothing(page)
    assert page.count("&lt;script&gt;") >= 5


def test_text_with_unusual_line_ends_is_one_line(tmp_path: Path) -> None:
    line = tune("001", "Air", answer="a\u2028b\x85c")
    assert "a\u2028b\x85c" in page_of({"tunes": with_tunes(tmp_path, [line])})


def test_page_carries_picture_sound_and_downloads(chain: dict[str, Artifact]) -> None:
    page = page_of(chain)
    pictures = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert [base64.b64decode(picture).decode() for picture in pictures] == [SVG, SVG]
    sound = re.search(r'<audio [^>]*src="data:audio/mpeg;base64,([^"]+)"', page)
    assert sound is not None
    assert base64.b64decode(unquote_to_bytes(sound[1])) == b"\xff\xfb\x90\x00"
    for name in ("001.mid", "001.abc", "002.mid"):
        assert f'download="{name}" href="data:' in page


def test_a_tune_links_to_the_editor_unless_its_link_would_be_too_long(tmp_path: Path) -> None:
    lines = [tune("001", "Air"), tune("002", "Symphony", editor_link=None)]
    page = page_of({"tunes": with_tunes(tmp_path, lines)})
    assert page.count("Open in the abcjs editor</a>") == page.count(LINK) == 1


@pytest.fixture
def with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Artifact]:
    """Two tunes with the grammar, and the first and another request without it."""
    monkeypatch.setitem(GENERATION, "grammar", "abc")
    lines = [tune("001", "Fits", prompt="A jig"), tune("002", "Fits too", prompt="A reel")]
    for line in lines:
        line["tunes"][0]["num_bars_fitting"] = 8  # type: ignore[index]
    governed = with_tunes(tmp_path, lines)
    monkeypatch.setitem(GENERATION, "grammar", None)
    lines = [tune("001", "Limps", prompt="A jig"), tune("002", "Alone", prompt="A slide")]
    return {"tunes": governed, "free": with_tunes(tmp_path, lines, "quickstart/generate_free")}


def test_a_tune_without_the_grammar_stands_beside_the_one_with_it(
    with_and_without: dict[str, Artifact],
) -> None:
    page = page_of(with_and_without)
    order = ["<h3>Fits</h3>", "The same request without the grammar", "<h5>Limps</h5>",
             "<h3>Fits too</h3>", "<h3>Alone</h3>"]  # fmt: skip
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert page.count("The same request without the grammar") == 1
    assert page.count("<blockquote>A jig</blockquote>") == 1
    assert "Each tune of quickstart/generate is from the first answer of the model with the" in page


def test_bars_with_and_without_the_grammar_are_counted_apart(
    with_and_without: dict[str, Artifact],
) -> None:
    page = page_of(with_and_without)
    assert "of the 24 bars written below fit their metre" in page  # 16 with it, 8 alone
    assert "<strong>96%</strong>" in page
    assert "of the 8 bars written without the grammar fit their metre" in page
    assert "<strong>88%</strong>" in page


def test_page_tells_bars_failures_and_how_the_tunes_were_chosen(
    chain: dict[str, Artifact],
) -> None:
    page = page_of(chain)
    assert "7 of 8 bars fit the metre" in page
    assert "cut off at its longest length" in page
    assert "no tune that parses" in page
    assert "there is no tune in the answer" in page
    assert "Each tune of quickstart/generate is from the first answer of the model." in page
    assert "There is no score of this tune." in page
    assert "<strong>94%</strong>" in page  # 15 of 16 bars
    assert "of the 16 bars written below fit their metre; 1 answer held no tune" in page


def test_a_page_shows_the_first_of_many_answers(tmp_path: Path) -> None:
    lines = [tune(f"{number:03d}", f"Air {number}") for number in range(1, 64)]
    page = page_of({"tunes": with_tunes(tmp_path, lines)})
    assert "Of its 63 prompts the first 60 are here." in page
    assert "Air 60" in page
    assert "Air 61" not in page


def test_page_shows_the_corpus_per_source_and_together(chain: dict[str, Artifact]) -> None:
    page = page_of(chain)
    assert rows_of(page)["read"] == ["1,200", "1,850", "3,050"]
    assert rows_of(page)["dropped: near duplicate"] == ["40", "60", "100"]
    assert rows_of(page)["dropped: bars do not fit"] == ["0", "12", "12"]
    assert rows_of(page)["kept: test"] == ["100", "188", "288"]
    assert "741,000 training tokens" in page
    assert "98.7% full" in page
    assert (
        "2,788 tunes prepared, 2 training runs, 2 of 3 tunes written, 6 steps in 9 min 0 s." in page
    )


def test_page_shows_intervals_and_the_reference(chain: dict[str, Artifact]) -> None:
    page = page_of(chain)
    assert '2.046<span class="interval">2.012 to 2.081</span>' in page
    assert '<th scope="col" class="number">reference</th>' in page
    assert "bits per character low" not in page
    assert page.count("The reference is what people wrote") == 1


def test_page_shows_curves_plans_times_settings_and_commands(chain: dict[str, Artifact]) -> None:
    page = page_of(chain)
    assert page.count("<svg viewBox=") == 2
    assert rows_of(page)["steps"] == ["1,000", "200"]
    assert rows_of(page)["tokens per step"] == ["2,048", "2,048"]
    assert ">9 min 0 s</td>" in page  # six runs of 90 s
    assert page.count("<pre>task: ") == 6
    assert "commit ba749a9, Python 3.11.2, torch 2.13.0" in page
    assert "python -m musicllm recipe=quickstart/generate" in page


def test_every_missing_part_is_said_in_words() -> None:
    page = render(assemble({}, "nothing", []))
    assert "This report was given no artifacts" in page
    for words in (
        "No tunes were given to this report",
        "No evaluation was given to this report",
        "No training run was given to this report",
        "No plan was found",
        "No corpus was given to this report",
        "so there is no time to tell",
        "so there are no settings to show",
        "Nothing continues from here",
    ):
        assert words in page


def test_training_run_without_metrics_or_config_says_so(tmp_path: Path) -> None:
    artifact = trained(tmp_path, "sft", 10, 1.0)
    (artifact.path.parent / "metrics.jsonl").unlink()
    (artifact.path.parent / "config.yaml").unlink()
    (artifact.path.parent / "summary.json").unlink()
    page = page_of({"sft": artifact})
    assert "This run left no training or validation loss" in page
    assert "This run left no config.yaml." in page
    assert ">–</td>" in page  # its time is not known


def test_resumed_steps_count_once_and_cut_lines_are_told(tmp_path: Path) -> None:
    artifact = trained(tmp_path, "sft", 10, 1.0)
    lines = ['{"step": 10, "train/loss": 2.5}', '{"step": 10, "train/loss": 2.25}', '{"step": 2']
    (artifact.path.parent / "metrics.jsonl").write_text("\n".join(lines))
    page = page_of({"sft": artifact})
    assert "Training loss 2.250 at step 10; 1 line of metrics.jsonl could not be read." in page


def test_damaged_results_name_the_file(chain: dict[str, Artifact]) -> None:
    (chain["evaluation"].path / "results.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"results\.json cannot be read"):
        page_of(chain)
    (chain["evaluation"].path / "results.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"results\.json is not a JSON object"):
        page_of(chain)
    (chain["tunes"].path / "generations.jsonl").write_text("{")
    with pytest.raises(ArtifactError, match=r"generations\.jsonl cannot be read"):
        page_of(chain)
