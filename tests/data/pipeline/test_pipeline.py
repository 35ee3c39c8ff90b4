"""A preparation from files to rows: what stays, what goes, and that nothing else decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.engines import LocalEngine
from musicllm.data.pipeline import prepare
from musicllm.data.pipeline.work import once
from musicllm.data.records import SPLITS, Record
from musicllm.data.rows import RowStore
from musicllm.data.settings import (
    NewTokenizer,
    Preparation,
    Question,
    SourceSpec,
)
from musicllm.errors import StageError
from tests.helpers import (
    TEMPLATE,
    duplicates_config,
    instruction_settings,
    make_tune,
    mix_config,
    music_config,
    preparation_of,
    row_settings,
    source_spec,
    write_sources,
)

PROSE = "The drone of a bagpipe sounds the tonic and the fifth below the melody it carries."
WORDS = "a fugue answers its subject in the dominant while a canon repeats it at any interval"


def tunes(num: int, source: str = "tunes") -> list[Record]:
    return [{"id": str(i), "source": source, "text": make_tune(i)} for i in range(num)]


def preparation(folder: Path, records: Sequence[Record], **changes: Any) -> Preparation:
    start = preparation_of(
        sources=write_sources(folder, records),
        rows=row_settings("pack", 256),
        validation_fraction=0.1,
        test_fraction=0.1,
        seed=7,
    )
    return replace(start, **changes)


class Corpus:
    """What a preparation filled, read back."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder, self.facts = folder, facts

    def records(self, split: str) -> list[Record]:
        files = sorted((self.folder / "records" / split).glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def drops(self) -> list[tuple[str, str]]:
        lines = (self.folder / "rejected.jsonl").read_text().splitlines()
        return [(drop["reason"], drop["detail"]) for drop in map(json.loads, lines)]

    def digest(self) -> dict[str, str]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }


def prepared(
    folder: Path, told: Preparation, engine: Any = None, *, work: str = "work", to: str = "corpus"
) -> Corpus:
    target = folder / to
    target.mkdir()
    tokenizer = NewTokenizer(300, TEMPLATE)
    facts = prepare(told, tokenizer, engine or LocalEngine(1), folder / work, target)
    return Corpus(target, facts)


def test_every_record_read_is_kept_or_listed_with_its_reason(tmp_path: Path) -> None:
    good = tunes(20)
    broken: list[Record] = [
        {"id": "again", "source": "tunes", "text": good[3]["text"] + "\n"},
        {"id": "short", "source": "tunes", "text": "X:1\nL:1/8\nM:4/4\nK:D\nDEFG ABcd |]\n"},
        {"id": "prose", "source": "prose", "text": PROSE},
        {"id": "odd", "source": "prose", "words": PROSE},
    ]
    corpus = prepared(tmp_path, preparation(tmp_path, [*good, *broken]))
    facts = corpus.facts
    assert facts["read"] == {"tunes": 22, "prose": 2}
    assert facts["dropped"] == {
        "tunes": {"is too short": 1, "is a duplicate": 1},
        "prose": {"has other fields": 1},
    }
    kept = [record for split in SPLITS for record in corpus.records(split)]
    assert len(kept) == 21 == sum(facts["splits"][split]["documents"] for split in SPLITS)
    assert len(corpus.drops()) == 3
    assert ("is a duplicate", "of tunes/tunes.jsonl:4") in corpus.drops()
    assert facts["kinds"] == {"knowledge": 1, "scores": 21}
    assert facts["music"]["keys"] == {"D": 21}
    assert facts["formats"] == {"tunes": "record", "prose": "record"}


def test_the_rows_hold_the_records_of_their_split(tmp_path: Path) -> None:
    corpus = prepared(tmp_path, preparation(tmp_path, tunes(30)))
    for split in SPLITS:
        store, facts = RowStore(corpus.folder / "rows" / split), corpus.facts["splits"][split]
        assert len(store) == facts["rows"]
        assert facts["tokens"] == store.num_tokens.sum() == sum(facts["tokens_by_source"].values())
        assert facts["supervised_tokens"] == store.num_supervised.sum()
        assert sum(facts["lengths"]["counts"]) == facts["documents"] == len(corpus.records(split))
        assert len(facts["lengths"]["edges"]) == len(facts["lengths"]["counts"]) + 1
    assert corpus.facts["splits"]["test"]["documents"] == 3


def test_masked_turns_are_counted_and_not_supervised(tmp_path: Path) -> None:
    def dialogue(number: int, **mark: int) -> Record:
        said = [
            ("user", f"Key {number}?"),
            ("assistant", "D"),
            ("user", "Sure?"),
            ("assistant", "Y"),
        ]
        messages = [{"role": role, "content": content} for role, content in said]
        messages[1] |= mark  # type: ignore[arg-type]
        return {"messages": messages}

    supervised = []
    for name, mark in (("whole", {}), ("masked", {"weight": 0})):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(dialogue(n, **mark)) + "\n" for n in range(4)))
        told = preparation(
            tmp_path, [], sources=(source_spec("s", "files", str(path)),),
            validation_fraction=0.0, test_fraction=0.0,
        )  # fmt: skip
        corpus = prepared(tmp_path, told, work=f"work-{name}", to=name)
        supervised.append(corpus.facts["splits"]["train"]["supervised_tokens"])
        assert corpus.facts["masked_turns"] == 4 * len(mark)
        assert [r["messages"][1].get("weight") for r in corpus.records("train")] == (
            [mark.get("weight")] * 4
        )
    assert supervised[0] == 2 * supervised[1]


def write_splits(folder: Path, **records: Sequence[str]) -> tuple[SourceSpec, ...]:
    for name, texts in records.items():
        path = folder / "named" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return (source_spec("named", "files", str(folder / "named")),)


def sayings(num: int, start: int = 0) -> list[str]:
    return [f"Saying {i}: {' '.join(f'word{i}x{j}' for j in range(12))}." for i in range(num)][
        start:
    ]


def placed(corpus: Corpus) -> dict[str, set[str]]:
    return {split: {r["id"].split("/")[1] for r in corpus.records(split)} for split in SPLITS}


def test_files_named_after_splits_are_these_splits(tmp_path: Path) -> None:
    texts = sayings(60)
    sources = write_splits(tmp_path, train=texts[:40], validation=texts[40:50], test=texts[50:])

    corpus = prepared(tmp_path, preparation(tmp_path, [], sources=sources))
    pooled = (replace(sources[0], named_splits=False),)
    other = prepared(tmp_path, preparation(tmp_path, [], sources=pooled), work="other", to="pooled")

    for split in SPLITS:
        expected = {f"{split}.jsonl:{n + 1}" for n in range(40 if split == "train" else 10)}
        assert placed(corpus)[split] == expected
    assert corpus.facts["given"] == {"named": {"train": 40, "validation": 10, "test": 10}}
    assert len({name.split(":")[0] for name in placed(other)["train"]}) == 3
    assert other.facts["given"] == {}
    assert other.facts["splits"]["test"]["documents"] == 6


def test_only_splits_that_no_file_gives_are_drawn(tmp_path: Path) -> None:
    texts = sayings(60)
    sources = write_splits(tmp_path, train=texts[:40], test=texts[40:])

    found = placed(prepared(tmp_path, preparation(tmp_path, [], sources=sources)))

    assert found["test"] == {f"test.jsonl:{n + 1}" for n in range(20)}
    assert len(found["validation"]) == 4
    assert all(name.startswith("train") for name in found["validation"] | found["train"])


def test_of_copies_in_two_splits_the_held_out_one_stays(tmp_path: Path) -> None:
    texts = sayings(40)
    longer = [*texts[:2], texts[31] + " And so on and on."]
    near = duplicates_config(near_similarity=0.6)
    named = write_splits(
        tmp_path, train=longer + texts[5:35], validation=texts[30:34], test=texts[33:]
    )
    sources = (*write_sources(tmp_path, [{"id": "a", "source": "aaa", "text": texts[38]}]), *named)

    corpus = prepared(tmp_path, preparation(tmp_path, [], sources=sources, duplicates=near))

    found = placed(corpus)
    assert found["test"] == {f"test.jsonl:{n + 1}" for n in range(7)}
    assert found["validation"] == {f"validation.jsonl:{n + 1}" for n in range(3)}
    assert found["train"] == {
        f"train.jsonl:{n + 1}" for n in range(33) if n not in (2, *range(28, 33))
    }
    assert corpus.facts["dropped"] == {
        "aaa": {"is a duplicate": 1},
        "named": {"is a duplicate": 6, "is a near-duplicate": 1},
    }


def test_a_source_that_is_all_held_out_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    sources = write_splits(tmp_path, test=sayings(3))
    with pytest.raises(StageError) as caught:
        prepared(tmp_path, preparation(tmp_path, [], sources=sources))
    assert str(caught.value).startswith(
        "no record is left for training (3 read, 0 rows for train, 0 rows for validation, 2 rows "
        "for test); its files are named after splits that are held out: write "
        "data.sources.<name>.named_splits=false to train on them, lower data.test_fraction, read "
    )


class Stopping:
    """An engine that is interrupted after some items, and counts what it is asked for."""

    def __init__(self, most: int) -> None:
        self.left = most

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], description: str, unit: str = ""
    ) -> Iterator[Any]:
        for item in items:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield function(item)


@pytest.mark.parametrize("most", range(1, 7))
def test_an_interrupted_preparation_continues_to_the_same_bytes(tmp_path: Path, most: int) -> None:
    records = [*tunes(20), *tunes(12, "more")]
    told = preparation(tmp_path, records, transpose_semitones=(0, 2))
    texts = sayings(9)
    named = write_splits(tmp_path, train=texts[:5], validation=texts[5:7], test=texts[6:])
    told = replace(told, sources=(*told.sources, *named))
    whole = prepared(tmp_path, told, to="whole", work="other")
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, told, Stopping(most), to="first")
    assert prepared(tmp_path, told).digest() == whole.digest()


def test_finished_work_is_not_done_again(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(folder: Path) -> dict[str, Any]:
        calls.append(folder)
        (folder / "file").write_text("x")
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"n": 1}

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "item", make)
    assert list(tmp_path.iterdir()) == []
    assert once(tmp_path / "item", make) == once(tmp_path / "item", make) == {"n": 1}
    assert len(calls) == 2


def test_two_processes_give_the_bytes_of_one(tmp_path: Path) -> None:
    told = preparation(tmp_path, [*tunes(20), *tunes(9, "more")])
    one = prepared(tmp_path, told, LocalEngine(1), to="one", work="a")
    two = prepared(tmp_path, told, LocalEngine(2), to="two", work="b")
    assert one.digest() == two.digest()
    assert one.facts == two.facts


def test_versions_of_a_melody_are_dropped_or_kept_in_one_split(tmp_path: Path) -> None:
    from musicllm.music.transform import transpose

    records = tunes(20)
    records += [
        {"id": "up", "source": "tunes", "text": transpose(records[i]["text"], 3)} for i in range(5)
    ]
    policy = duplicates_config(melodic_similarity=0.6)
    corpus = prepared(tmp_path, preparation(tmp_path, records, duplicates=policy))
    assert corpus.facts["dropped"] == {"tunes": {"is a version of another tune": 5}}
    assert all(detail.startswith("of tunes/tunes.jsonl:") for _, detail in corpus.drops())


@pytest.mark.parametrize("num_processes", [1, 2])
def test_the_fuller_and_cleaner_version_stays(tmp_path: Path, num_processes: int) -> None:
    variations = make_tune(1, 40)
    theme = " | ".join(variations.split(" | ")[:8]) + " |]\n"
    clean = make_tune(2, 16)
    truncated = " | ".join(clean.split(" | ")[:12]) + " | D2\n"
    damaged = make_tune(3, 16).replace(" | ", " | ^", 1).replace("K:D", "K:D</s>")
    mended = damaged.replace("</s>", "").replace("^", "")
    others = [make_tune(n) for n in range(10, 18)]
    texts = [theme, truncated, damaged, *others, variations, clean, mended]
    records = [{"id": str(n), "source": "tunes", "text": text} for n, text in enumerate(texts)]
    policy = duplicates_config(melodic_similarity=0.6)
    told = preparation(tmp_path, records, duplicates=policy)
    rows = row_settings("pack", 2048)
    corpus = prepared(tmp_path, replace(told, rows=rows), LocalEngine(num_processes))
    left = [record["text"] for split in SPLITS for record in corpus.records(split)]
    assert sorted(left) == sorted([*others, variations, clean, mended])
    assert corpus.facts["dropped"] == {"tunes": {"is a version of another tune": 3}}
    assert [detail.partition(",")[0] for _, detail in corpus.drops()] == [
        "of tunes/tunes.jsonl:12", "of tunes/tunes.jsonl:13", "of tunes/tunes.jsonl:14"
    ]  # fmt: skip


def test_tunes_of_one_title_that_share_a_figure_are_in_one_split(tmp_path: Path) -> None:
    def entitled(title: str, tune: str) -> str:
        return tune.replace("X:1\n", f"X:1\nT:{title}\n")

    hunt, other = make_tune(1, 16), make_tune(2, 16)
    bars, others = hunt.split(" | "), other.split(" | ")
    cousin = " | ".join([*others[:8], *bars[8:10], *others[10:]])
    texts = [
        entitled("The Hunt", hunt),
        entitled("HUNT, the", cousin),
        *map(make_tune, range(9, 27)),
    ]
    records = [{"id": str(n), "source": "tunes", "text": text} for n, text in enumerate(texts)]
    told = preparation(
        tmp_path, records, duplicates=duplicates_config(melodic_similarity=0.6),
        music=music_config(normalize=True), validation_fraction=0.0,
    )  # fmt: skip
    for seed in range(4):
        to, work = f"corpus{seed}", f"work{seed}"
        halves = replace(told, seed=seed, test_fraction=0.5)
        corpus = prepared(tmp_path, halves, to=to, work=work)
        assert corpus.facts["related_pairs"] == {"by_melody": 0, "by_title": 1}
        held = [bars[8] in record["text"] for record in corpus.records("test")]
        assert sum(held) in (0, 2)


def test_questions_about_one_tune_stay_and_a_copy_of_one_goes(tmp_path: Path) -> None:
    asked = {"What key is it in?": "D major", "What metre is it in?": "4/4", "Is it old?": "Yes"}
    records: list[Record] = [
        {
            "id": str(number),
            "source": "talks",
            "messages": [
                {"role": "user", "content": f"{question}\n{make_tune(number, 24)}"},
                {"role": "assistant", "content": answer},
            ],
        }
        for number in range(8)
        for question, answer in asked.items()
    ]
    question, answer = (message["content"] for message in records[4]["messages"])
    copied = [
        {"role": "user", "content": question.replace("?\n", "\n\n")},
        {"role": "assistant", "content": answer},
    ]
    records.append({"id": "again", "source": "talks", "messages": copied})
    policy = duplicates_config(near_similarity=0.8, melodic_similarity=0.6)
    told = preparation(tmp_path, records, duplicates=policy, rows=row_settings("pack", 2048))
    corpus = prepared(tmp_path, told)
    assert corpus.facts["dropped"] == {"talks": {"is a near-duplicate": 1}}
    assert corpus.drops() == [("is a near-duplicate", "of talks/talks.jsonl:5")]


def test_benchmark_questions_are_left_out_and_named(tmp_path: Path) -> None:
    question = Question("quiz", "fugue/1", WORDS.capitalize() + "?", ("yes", "no"))
    records = [*tunes(10), {"id": "x", "source": "prose", "text": f"{PROSE} Quiz: {WORDS} ... yes"}]
    corpus = prepared(tmp_path, preparation(tmp_path, records, questions=(question,)))
    assert corpus.facts["dropped"]["prose"] == {"holds a benchmark question": 1}
    assert corpus.facts["contamination"]["removed"] == 1
    [match] = map(json.loads, (corpus.folder / "contamination.jsonl").read_text().splitlines())
    assert (match["id"], match["benchmark"], match["question"]) == (
        "prose/prose.jsonl:1", "quiz", "fugue/1"
    )  # fmt: skip


def test_only_training_tunes_are_transposed(tmp_path: Path) -> None:
    told = preparation(tmp_path, tunes(20), transpose_semitones=(0, 2, -2))
    corpus = prepared(tmp_path, told)
    assert len(corpus.records("train")) == 3 * 16
    assert len(corpus.records("validation")) == len(corpus.records("test")) == 2


def test_tunes_become_conversations_in_the_same_splits(tmp_path: Path) -> None:
    instructions = instruction_settings(("metadata_to_tune", "name_key"))
    corpus = prepared(tmp_path, preparation(tmp_path, tunes(20), instructions=instructions))
    assert [len(corpus.records(split)) for split in SPLITS] == [16, 2, 2]
    assert all("messages" in record for record in corpus.records("train"))
    assert sum(corpus.facts["music"]["families"].values()) == 20
    train = corpus.facts["splits"]["train"]
    assert 0 < train["supervised_tokens"] < train["tokens"]


def test_chord_symbols_are_counted_with_those_that_cannot_be_read(tmp_path: Path) -> None:
    records = tunes(20)
    for number, symbol in enumerate(["H7", "G7/b", "H7", "foo", "^up"]):
        records[number]["text"] = records[number]["text"].replace("| ", f'| "{symbol}"', 1)
    instructions = instruction_settings(("harmonize", "name_key"))
    told = preparation(tmp_path, records, instructions=instructions, music=music_config(check=True))

    corpus = prepared(tmp_path, told)

    music = corpus.facts["music"]
    assert (music["chord_symbols"], music["unreadable_chord_symbols"]) == (1, 3)
    assert music["tunes_with_unreadable_chords"] == 3
    assert music["unreadable_chords"] == {"H7": 2, "foo": 1}
    reason = "has chord symbols that cannot be read"
    assert corpus.facts["dropped"]["tunes"][reason] == 3
    assert (reason, "no request about its chords is made: foo") in corpus.drops()


def test_the_mix_draws_shares_from_the_training_split(tmp_path: Path) -> None:
    records = [*tunes(30), *tunes(60, "more")]
    mix = mix_config(weights={"tunes": 2.0, "more": 1.0})
    changes: dict[str, Any] = {"validation_fraction": 0.0, "test_fraction": 0.0}
    duplicates = duplicates_config(exact=False)
    told = preparation(tmp_path, records, mix=mix, duplicates=duplicates, **changes)
    facts = prepared(tmp_path, told).facts
    mixed = facts["mix"]
    taken = [(part["part"], part["available_documents"], part["documents"]) for part in mixed]
    assert taken == [("tunes", 30, 30), ("more", 60, 15)]
    assert sum(part["tokens"] for part in facts["mix"]) == facts["splits"]["train"]["tokens"]


def test_too_many_faults_stop_before_a_corpus_is_written(tmp_path: Path) -> None:
    records = [*tunes(8), {"id": "x", "source": "tunes", "text": "X:1\nL:1/8\nK:D\nDEFG |]\n"}] * 2
    told = preparation(tmp_path, records, max_reject_fraction=0.05, music=music_config())
    with pytest.raises(StageError, match=r"2 of 18 records \(11.1%\) were dropped"):
        prepared(tmp_path, told)
    assert list((tmp_path / "corpus").iterdir()) == []


def test_conversations_are_not_cut_by_chunk(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    record: Record = {"id": "x", "source": "chat", "messages": messages}
    told = preparation(tmp_path, [record, *tunes(8)], rows=row_settings("chunk", 256))
    with pytest.raises(StageError, match=r"row_former=chunk would cut .* 1 of the records"):
        prepared(tmp_path, told)


def test_nothing_left_for_training_says_so(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no record is left for training"):
        prepared(tmp_path, preparation(tmp_path, tunes(2), test_fraction=1.0))
