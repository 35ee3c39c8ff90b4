"""Evaluations side by side: who is compared, on what, and how it is said."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError
from musicllm.evals.results import Metrics
from musicllm.report.compare_page import render_comparison
from musicllm.report.compare_tables import headline, p_words
from musicllm.report.compared import read_models
from musicllm.report.comparing import assemble_comparison, draw, headlines, notes, plain
from musicllm.report.paired import PairedResult, against_first
from tests.evals.evaluations import answers, evaluation, tunes

COMPLETE = {"complete": True, "num_questions": 120, "num_available": 120, "num_fewshot": 5}
SUBSET = COMPLETE | {"complete": False, "num_questions": 60}


def page_of(evaluations: list[Artifact]) -> str:
    contestants = read_models(evaluations)
    against = against_first(contestants, seed=0)
    return render_comparison(
        assemble_comparison("a, b", contestants, against, draw(contestants), [])
    )


def compared(evaluations: list[Artifact]) -> list[PairedResult]:
    return against_first(read_models(evaluations), seed=0)


def row_of(page: str, head: str) -> list[str]:
    """Return the cells of the first row with this head, the small text behind a bar."""
    (cells, *_) = re.findall(rf'<th scope="row">{re.escape(head)}</th>(.*?)</tr>', page)
    texts = re.findall(r'<td class="[a-z]+">(.*?)</td>', cells)
    return [
        html.unescape(re.sub(r"<span[^>]*>", "|", text).replace("</span>", "")) for text in texts
    ]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    """The same benchmark after three stages of a training, the last one on a part of it."""
    tmp_path, facts = tmp_path_factory.mktemp("runs"), {"mmlu": COMPLETE}
    return [
        evaluation(tmp_path, "base", {"model": {"mmlu": answers(0.3)}}, facts=facts),
        evaluation(tmp_path, "pretrained", {"model": {"mmlu": answers(0.6)}}, facts=facts),
        evaluation(tmp_path, "tuned", {"model": {"mmlu": answers(0.9)[:60]}},
                   facts={"mmlu": SUBSET}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page(stages: list[Artifact]) -> str:
    return page_of(stages)


def test_labels_are_recipes_and_folders_where_these_are_not_enough(tmp_path: Path) -> None:
    rows = {"model": {"mmlu": answers(0.5, 2)}}
    first = evaluation(tmp_path, "one", rows)
    two = evaluation(tmp_path, "two", rows)
    other = evaluation(tmp_path, "three", rows, recipe="musictheorybench")
    elsewhere = evaluation(tmp_path / "elsewhere", "one", rows)
    assert [model.label for model in read_models([first, two, other])] == [
        "mmlu/one", "mmlu/two", "musictheorybench",
    ]  # fmt: skip
    assert [model.label for model in read_models([first, elsewhere])] == [
        str(first.path), str(elsewhere.path),
    ]  # fmt: skip


def test_one_evaluation_compares_its_model_with_its_baseline(tmp_path: Path) -> None:
    models = {"model": {"mmlu": answers(0.9)}, "baseline": {"mmlu": answers(0.3)}}
    before, after = read_models([evaluation(tmp_path, "one", models)])
    assert (before.label, after.label) == ("baseline", "model")
    assert before.tested.endswith("merge/one-baseline")


def test_a_model_without_input_is_named_by_its_configuration(tmp_path: Path) -> None:
    rows = {"model": {"mmlu": answers(0.5, 2)}}
    some = [evaluation(tmp_path, name, rows, inputs=()) for name in ("one", "two")]
    assert [model.tested for model in read_models(some)] == ["tiny", "tiny"]


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    rows = {"model": {"mmlu": answers(0.5, 2)}}
    first = evaluation(tmp_path, "one", rows)
    with pytest.raises(InputError, match="runs has 1 models to compare; name two evaluations"):
        read_models([first])
    with pytest.raises(InputError, match="runs has 0 models"):
        read_models([])
    with pytest.raises(InputError, match=r"runs names .*mmlu/one/artifact more than once"):
        read_models([first, first])
    with artifacts.writing(tmp_path / "corpus", "corpus", "0", {}):
        pass
    with pytest.raises(ArtifactError, match="holds a corpus, not an evaluation"):
        read_models([first, artifacts.read(tmp_path / "corpus")])


def test_only_questions_that_both_were_asked_make_pairs(stages: list[Artifact]) -> None:
    second, third = compared(stages)
    assert second.accuracy is not None
    assert third.accuracy is not None
    assert (second.accuracy.num_questions, second.accuracy.num_unpaired) == (120, 0)
    assert (third.accuracy.num_questions, third.accuracy.num_unpaired) == (60, 60)
    p_values = [part.accuracy.p_value for part in (second, third) if part.accuracy]
    assert [part.p_holm["accuracy"] for part in (second, third)] == [
        pytest.approx(
            2 * p if p == min(p_values) else max(p_values[0], p_values[1], 2 * min(p_values))
        )
        for p in p_values
    ]
    assert {name: part.num_questions for name, part in third.subjects.items()} == {
        "law": 40, "art_history": 20,
    }  # fmt: skip
    assert all(third.subjects_p_holm[name] >= part.p_value for name, part in third.subjects.items())


def test_documents_are_compared_by_their_bits(tmp_path: Path) -> None:
    def documents(nats: float, characters: int = 10) -> list[dict[str, Any]]:
        return [{"document_id": n, "nll_nats": nats, "num_characters": characters} for n in (0, 1)]

    def stored(run: str, rows: list[dict[str, Any]]) -> Artifact:
        return evaluation(tmp_path, run, {"model": {"language": rows}})

    before = stored("before", documents(7.0))
    (result,) = compared([before, stored("after", documents(14.0))])
    item = result.items["bits_per_character"]
    assert item.model == pytest.approx(2 * item.baseline) == pytest.approx(2.01977, abs=1e-4)
    assert result.p_holm == {"bits_per_character": item.p_value}
    assert (
        compared([before, stored("none", documents(7.0, 10)[:1])])[0]
        .items["bits_per_character"]
        .num_items
        == 1
    )
    with pytest.raises(InputError, match=r"document 0 has 10 characters in one evaluation and 11"):
        compared([before, stored("other", documents(7.0, 11))])


def test_tunes_are_compared_request_by_request(tmp_path: Path) -> None:
    first = evaluation(tmp_path, "one", {"model": {"generation": tunes(0.5)}})
    two = evaluation(tmp_path, "two", {"model": {"generation": tunes(0.7)}})
    (result,) = compared([first, two])
    assert result.items["key_fit"].num_items == 5  # one does not parse
    assert result.items["key_fit"].difference == pytest.approx(0.2)
    assert list(result.items) == ["key_fit", "parse_share", "form_adherence", "bars_fitting_strict"]
    assert result.items["parse_share"].difference == 0
    assert result.items["form_adherence"].model == pytest.approx(0.7)
    assert result.items["bars_fitting_strict"].model == 0.5
    assert result.p_holm["key_fit"] > result.items["key_fit"].p_value, "one test among four"


def test_a_benchmark_that_kept_no_rows_is_not_tested(tmp_path: Path) -> None:
    some = [evaluation(tmp_path, run, {"model": {"mmlu": answers(0.5, 2)}}) for run in "ab"]
    for item in some:
        (item.path / "predictions.jsonl").write_text("")
    assert compared(some) == []
    page = page_of(some)
    assert "No benchmark has questions, documents or tunes that both" in page
    assert "mmlu: accuracy" in page


def test_page_marks_subsets_wherever_a_number_stands(page: str) -> None:
    subset = "subset: 60 of 120 questions"
    assert f"<strong>mmlu of mmlu/tuned is not complete: a {subset}.</strong>" in page
    assert f"<strong>mmlu/tuned: {subset}</strong>" in page
    first, second, third = row_of(page, "mmlu: accuracy")
    assert "subset" not in first + second
    assert third.endswith("; subset: 60 of 120")
    assert page.count(f"mmlu/tuned ({subset})</th>") == 4  # every table of the benchmark
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 4
    assert all(subset in picture for picture in pictures)


def test_page_tells_differences_and_their_chances(stages: list[Artifact], page: str) -> None:
    second, third = compared(stages)
    assert second.accuracy is not None
    assert third.accuracy is not None
    cells = row_of(page, "mmlu: mmlu/pretrained")
    assert cells[0] == "120"
    assert cells[3].startswith(f"{second.accuracy.difference:+.4f}|")
    assert cells[4:6] == [str(second.accuracy.num_gained), str(second.accuracy.num_lost)]
    assert row_of(page, "mmlu: mmlu/tuned")[0] == "60|60 unpaired"
    points = f"<strong>{100 * third.accuracy.difference:+.1f}</strong>"
    assert points in page, "the tile is about the last model"
    assert row_of(page, "physics")[2] == "–", "not asked in the subset"


def test_page_shows_every_part_and_loads_nothing(page: str) -> None:
    for words in (
        "By category",
        "By subject",
        "Calibration",
        "All numbers",
        "humanities",
        "art history",
        "expected calibration error",
        "Accuracy from model to model",
    ):
        assert words in page
    assert page.count("<svg viewBox=") == 4
    assert "://" not in page
    assert "<script" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "pictures share no ids"


def test_what_was_asked_differently_is_said(tmp_path: Path) -> None:
    rows = answers(0.5, 2)
    others = [row | {"prompt_hash": "other"} for row in rows]
    first = evaluation(tmp_path, "one", {"model": {"mmlu": rows}}, facts={"mmlu": COMPLETE})
    two = evaluation(tmp_path, "two", {"model": {"mmlu": others}},
                     facts={"mmlu": COMPLETE | {"num_fewshot": 0}})  # fmt: skip
    contestants = read_models([first, two])
    assert notes(contestants, against_first(contestants, seed=0)) == [
        "mmlu was not asked in the same way: num_fewshot differs (mmlu/one: 5, mmlu/two: 0).",
        "mmlu: 6 of 6 questions reached mmlu/two with another prompt than mmlu/one.",
    ]


def test_an_older_evaluation_without_facts_is_compared(tmp_path: Path) -> None:
    rows = {"model": {"mmlu": answers(0.5, 2)}}
    some = [evaluation(tmp_path, run, rows, facts={"mmlu": SUBSET}) for run in "ab"]
    path = some[1].path / "results.json"
    path.write_text(json.dumps({"models": json.loads(path.read_text())["models"]}))
    contestants = read_models(some)
    assert [model.subset("mmlu") for model in contestants] == ["subset: 60 of 120 questions", ""]


def test_models_with_different_benchmarks_share_a_page(tmp_path: Path) -> None:
    first = evaluation(tmp_path, "one", {"model": {"mmlu": answers(0.5, 4)}})
    two = evaluation(tmp_path, "two", {"model": {"generation": tunes(0.5)}})
    page = page_of([first, two])
    assert row_of(page, "mmlu: accuracy")[1] == "–"
    assert row_of(page, "generation: key fit")[0] == "–"


def test_what_a_model_is_called_is_escaped(tmp_path: Path) -> None:
    rows = {"model": {"mmlu": answers(0.5, 2)}}
    some = [evaluation(tmp_path, run, rows, recipe="<script>x") for run in ("a", "b")]
    page = page_of(some)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_plain_numbers_are_json_and_complete(stages: list[Artifact]) -> None:
    contestants = read_models(stages)
    values = json.loads(
        json.dumps(plain(contestants, against_first(contestants, 0)), allow_nan=False)
    )
    assert values["first"] == "mmlu/base"
    assert [part["label"] for part in values["models"]] == [
        "mmlu/base", "mmlu/pretrained", "mmlu/tuned",
    ]  # fmt: skip
    assert values["benchmarks"]["mmlu"]["mmlu/tuned"]["complete"] is False
    assert values["metrics"]["mmlu"]["mmlu/base"]["num_questions"] == 120
    assert values["against_first"][1]["accuracy"]["num_questions"] == 60
    assert sum(part["num_questions"] for part in values["calibration"]["mmlu"]["mmlu/base"]) == 120
    assert len(values["notes"]) == 1
    assert set(headlines(contestants)) == {
        "mmlu/base mmlu accuracy", "mmlu/pretrained mmlu accuracy", "mmlu/tuned mmlu accuracy",
    }  # fmt: skip


def test_pictures_are_files_too(stages: list[Artifact], tmp_path: Path) -> None:
    pictures = draw(read_models(stages))["mmlu"]
    assert [image.name for image in pictures] == [
        "mmlu_order", "mmlu_category", "mmlu_subject", "mmlu_calibration",
    ]  # fmt: skip
    pictures[0].write_png(tmp_path / "order.png")
    assert (tmp_path / "order.png").read_bytes().startswith(b"\x89PNG")


def test_headline_is_named_or_accuracy_or_the_first_with_an_interval(
    stages: list[Artifact],
) -> None:
    model = read_models(stages)[0]
    metrics: list[Metrics] = [
        {"chance_accuracy": 0.25, "accuracy": 0.3},
        {"num_tunes": 3, "key_fit": 0.5, "key_fit_low": 0.4},
        {"ratio": 1.5},
    ]
    names = [headline(replace(model, metrics={"x": some}, facts={}), "x") for some in metrics]
    assert names == ["accuracy", "key_fit", "ratio"]
    other = replace(model, metrics={"x": metrics[0]}, facts={"x": {"headline": "chance_accuracy"}})
    assert headline(other, "x") == "chance_accuracy"


def test_p_values_as_they_are_printed() -> None:
    assert [p_words(p) for p in (None, 0.00001, 0.0123, 1.0)] == ["–", "< 0.0001", "0.012", "1"]
