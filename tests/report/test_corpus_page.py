"""The page of a corpus: numbers, charts, what it says is missing, and what it never loads."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from musicllm.report.bars import ranked
from musicllm.report.corpora import content
from musicllm.report.corpus_page import short, write_corpus_page
from musicllm.report.figures import length_histogram
from musicllm.report.page import NextCommand
from tests.helpers import make_corpus
from tests.report.test_report import ATTACK, assert_loads_nothing, rows_of

TRAIN = {
    "documents": 90,
    "by_source": {"books": 60, "chats": 30},
    "tokens_by_source": {"books": 6_000, "chats": 2_000},
    "rows": 16,
    "tokens": 8_000,
    "supervised_tokens": 6_000,
    "packing_efficiency": 0.9766,
    "lengths": {"edges": [0, 32, 64, 128, 256], "counts": [0, 50, 40, 0]},
    "languages": {
        "zh": {"documents": 20, "tokens": 1_500},
        "en": {"documents": 10, "tokens": 500},
        "music": {"documents": 60, "tokens": 6_000},
    },
}
TEST = {**TRAIN, "documents": 5, "by_source": {"books": 5}, "tokens": 400}

FACTS: dict[str, Any] = {
    "sources": ["books", "chats"],
    "formats": {"books": "abc", "chats": "sharegpt"},
    "licences": {"books": "public domain"},
    "read": {"books": 70, "chats": 40},
    "dropped": {"books": {"is a duplicate": 5}, "chats": {"is a duplicate": 2, "is too long": 8}},
    "repaired": {"books": {"stood on one line": 3}},
    "left_out": {"books": {"lyrics": 6}},
    "kept_faulty": {"chats": {"bars that do not fit": 4}},
    "splits": {"train": TRAIN, "test": TEST},
    "mix": [
        {
            "part": "scores", "requested": 1 / 3, "available_documents": 65, "documents": 60,
            "tokens": 6_000, "share_documents": 2 / 3, "share_tokens": 0.75,
        },
        {
            "part": "knowledge", "requested": 2 / 3, "available_documents": 30, "documents": 30,
            "tokens": 2_000, "share_documents": 1 / 3, "share_tokens": 0.25,
        },
    ],
    "translations": {
        "counts": {"zh": {"translated": 20, "not in the table": 4}},
        "num_not_in_table": 1,
        "not_in_table": {"Write a song about the sea.": 4},
    },
    "also_written": {
        "xtuner": {"train": {"file": "also/xtuner/train.json", "records": 90, "bytes": 5_000,
                             "sha256": "0123456789abcdef" * 4}},
    },
    "music": {"keys": {"D": 40, "G": 20}, "metres": {"6/8": 60}, "types": {"": 10, "jig": 50}},
    "contamination": {
        "questions": 15_000,
        "removed": 1,
        "examples": [
            {
                "source": "chats", "id": "chats/7", "benchmark": "mmlu",
                "question": "virology/17", "how": "13 words in a row",
            }
        ],
    },
    "vocab_size": 400,
    "max_length": 512,
    "tokenizer": "trained here",
    "tokenizer_fingerprint": "0123456789ab",
    "template": "chatmusician",
    "template_fingerprint": "ba9876543210",
    "row_former": "pack",
    "row_former_version": 2,
}  # fmt: skip


def page_of(tmp_path: Path, facts: dict[str, Any], *commands: NextCommand) -> str:
    write_corpus_page(tmp_path / "report.html", facts, "my corpus", commands)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in FACTS.items() if name not in names}


def bars_of(page: str, caption: str) -> dict[str, tuple[str, float]]:
    """Return value and length in percent of every bar under a caption."""
    part = page.partition(f"<caption>{caption}</caption>")[2].partition("</table>")[0]
    found = re.findall(
        r'row">(.*?)</th><td class="number">(.*?)</td>.*?width:([\d.]+)%', part, re.DOTALL
    )
    return {label: (value, float(length)) for label, value, length in found}


def test_page_tells_what_was_read_dropped_mended_and_kept(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    rows = rows_of(page)
    assert "110 records read from 2 sources, 15 left out, 95 documents kept." in page
    assert rows["read"] == ["70", "40", "110"]
    assert rows["dropped: is a duplicate"] == ["5", "2", "7"]
    assert rows["kept: train"] == ["60", "30", "90"]
    assert rows["mended: stood on one line"] == ["3", "0", "3"]
    assert rows["left out of the normal form: lyrics"] == ["6", "0", "6"]
    assert rows["kept as it is: bars that do not fit"] == ["0", "4", "4"]
    assert bars_of(page, "Why records were dropped") == {
        "is too long": ("8 (53.3%)", 100.0),
        "is a duplicate": ("7 (46.7%)", 87.5),
    }


def test_page_opens_with_size_supervised_share_and_efficiency(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    assert re.findall("<strong>(.*?)</strong>", page) == ["90", "8,000", "75.0%", "97.66%"]


def test_requested_and_actual_shares_are_shown(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    assert bars_of(page, "Share of the training documents")["scores"] == ("66.7%", 66.67)
    assert "requested share" in page
    assert 'style="left:33.33%"' in page
    assert rows_of(page)["scores"] == ["33.3%", "66.7%", "75.0%", "65", "60", "6,000"]


def test_languages_translations_and_other_formats_are_shown(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    rows = rows_of(page)
    assert rows["Chinese"][:3] == ["20", "22.2%", "1,500"]
    assert rows["English"][:3] == ["10", "11.1%", "500"]
    assert rows["music alone"][:3] == ["60", "66.7%", "6,000"]
    assert "train: documents" in page
    words = "of 24 drawn for zh, 20 translated, 4 not in the table."
    assert f"Translated requests: {words}" in page
    assert bars_of(page, "Requests without a translation") == {
        "Write a song about the sea.": ("4 (100.0%)", 100.0)
    }
    assert "also/xtuner/train.json (90 records, sha256 0123456789ab)" in page
    older = {**FACTS, "splits": {"train": {k: v for k, v in TRAIN.items() if k != "languages"}}}
    assert "Languages of the rows" not in page_of(tmp_path, older)


def test_without_a_mix_the_shares_are_those_of_the_sources(tmp_path: Path) -> None:
    page = page_of(tmp_path, without("mix"))
    assert bars_of(page, "Share of the training documents")["chats"] == ("33.3%", 33.33)
    assert '<td class="number">–</td><td class="number">33.3%</td><td class="number">25.0%' in page
    assert "requested share" not in page


def test_music_is_ranked_and_what_has_no_name_says_so(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    assert bars_of(page, "Keys") == {"D": ("40 (66.7%)", 100.0), "G": ("20 (33.3%)", 50.0)}
    assert bars_of(page, "Tune types")["not named"] == ("10 (16.7%)", 20.0)
    assert "Instruction families" not in page


def test_rare_things_are_summed_up_in_one_bar() -> None:
    chart = ranked("Keys", {f"K{number}": 20 - number for number in range(15)})
    assert chart is not None
    assert len(chart.bars) == 13
    assert (chart.bars[-1].label, chart.bars[-1].value) == ("3 others", "21 (10.8%)")
    assert ranked("Keys", {"D": 0}) is None


def test_page_lists_which_question_removed_what(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    assert "Compared with 15,000 benchmark questions: 1 removed." in page
    assert '<th scope="row">mmlu virology/17</th><td class="words">13 words in a row</td>' in page
    assert "chats: chats/7" in page


def test_page_names_what_the_corpus_was_made_with(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    for words in ("trained here, 400 tokens", "0123456789ab", "chatmusician", "public domain"):
        assert words in page


def test_histograms_mark_the_length_of_a_row(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    assert page.count("<svg viewBox=") == 2
    assert 'aria-label="Documents of train by their number of tokens"' in page
    assert page.count("a row: 512") == 2
    assert "90 documents, 89 tokens each on average." in page


def test_only_bins_that_hold_documents_are_drawn(tmp_path: Path) -> None:
    page = page_of(tmp_path, FACTS)
    picture = page.partition("Documents of train")[2].partition("</svg>")[0]
    assert re.findall(r">([\d,]+)</text>", picture)[:3] == ["32", "64", "128"]


def test_documents_that_were_cut_are_told(tmp_path: Path) -> None:
    facts = copy.deepcopy(FACTS)
    facts["splits"]["train"]["cut"] = 2
    assert "90 documents, 89 tokens each on average. 2 of them lost tokens." in page_of(
        tmp_path, facts
    )


def test_pairs_of_related_tunes_are_counted(tmp_path: Path) -> None:
    facts = copy.deepcopy(FACTS) | {"related_pairs": {"by_melody": 1200, "by_title": 37}}
    said = "1,200 pairs of tunes are related by melody and 37 more by title"
    assert said in page_of(tmp_path, facts)
    facts["related_pairs"] = {"by_melody": 0, "by_title": 0}
    assert "related by melody" not in page_of(tmp_path, facts)


def test_a_histogram_is_taller_where_there_are_more() -> None:
    svg = length_histogram([0, 10, 20], [1, 3], 20, "train")
    path = re.search(r'<path d="(M [^"]*)"[^>]*style="fill: var\(--train\)', svg)
    assert path is not None
    heights = sorted({float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path[1])})
    top, middle, floor = heights
    assert (floor - top) / (floor - middle) == pytest.approx(3, rel=0.01)


def test_missing_parts_are_said_in_words(tmp_path: Path) -> None:
    facts = copy.deepcopy(
        without(
            "mix",
            "music",
            "contamination",
            "repaired",
            "kept_faulty",
            "left_out",
            "formats",
            "licences",
        )
    )
    facts["dropped"] = {}
    for split in facts["splits"].values():
        del split["lengths"]
    page = page_of(tmp_path, facts)
    for words in (
        "No record was dropped.",
        "No record was mended",
        "This corpus holds no lengths",
        "No tune was looked at",
        "compared with no benchmark",
        "inputs.corpus names the folder",
    ):
        assert words in page


def test_nothing_removed_is_said_too(tmp_path: Path) -> None:
    page = page_of(tmp_path, {**FACTS, "contamination": {"questions": 3, "removed": 0}})
    assert "Compared with 3 benchmark questions: no record holds one of them." in page


def test_an_empty_training_split_is_no_division_by_zero(tmp_path: Path) -> None:
    empty = {**TRAIN, "documents": 0, "by_source": {}, "tokens": 0, "supervised_tokens": 0}
    page = page_of(tmp_path, {**without("mix"), "splits": {"train": empty}})
    assert "The training split is empty." in page


def test_texts_of_others_are_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    facts = copy.deepcopy(FACTS)
    facts["music"]["types"] = {ATTACK: 3}
    facts["licences"] = {"books": ATTACK}
    facts["dropped"] = {"books": {ATTACK: 1}}
    page = page_of(tmp_path, facts, NextCommand("Train", ATTACK))
    assert_loads_nothing(page)
    assert page.count("&lt;script&gt;") >= 4


def test_the_facts_of_a_real_corpus_make_a_page(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    page = page_of(tmp_path, dict(corpus.facts))
    assert "30 records read from 2 sources" in page
    assert_loads_nothing(page)


def test_documents_are_called_by_what_they_are() -> None:
    made = {"families": {"harmonize": 2}}
    assert content({"kinds": {"scores": 2, "knowledge": 0}}) == "tunes"
    assert content({"kinds": {"scores": 2, "knowledge": 0}, "music": made}) == "conversations"
    assert content({"kinds": {"scores": 2, "knowledge": 1}}) == "documents"
    assert content({}) == "documents"


def test_large_numbers_are_short_on_tiles() -> None:
    assert [short(n) for n in (999_999, 1_500_000, 4_160_000_000)] == ["999,999", "1.5 M", "4.16 B"]
