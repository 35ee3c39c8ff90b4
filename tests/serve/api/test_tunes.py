"""`/v1/tunes/check` and `/v1/tunes/render`, over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import mido
import numpy as np
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient

from musicllm.music.abc import parse
from musicllm.serve import composing
from musicllm.serve.api import errors, tunes
from musicllm.serve.api.app import build_app
from musicllm.serve.composing import Brief
from musicllm.serve.tunes import FileRequest, TuneFile, TuneWorkshops
from tests.browser.site import ScriptedEngine, service_of

# Bar 2 has one eighth too much.
JIG = "X:1\nT:The Lark\nR:jig\nM:6/8\nL:1/8\nK:G\n|:GAB dBG | GAB d3e | edB dBA | G3 G3 :|\n"
SONG = (
    "X:1\nT:Song in two\nC:Nobody\nM:2/4\nL:1/8\nQ:1/4=100\nK:Dm\n"
    "DE FG | A2 D2 | (3dcB AG | ^C2 D2 ||\n|: FG Ac | d2 c2 | BA GE | D4 :|\n"
)


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    errors.install(app)
    app.include_router(tunes.router(service_of({"scripted": ScriptedEngine()})))
    with TestClient(app) as client:
        yield client


def checked(client: TestClient, abc: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/tunes/check", json={"abc": abc, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_tune_is_checked_with_the_places_of_its_bars(client: TestClient) -> None:
    text = f"Here it is:\n\n{JIG}\nEnjoy."
    (tune,) = checked(client, text)["tunes"]
    assert tune["abc"] == text[tune["start"] : tune["stop"]] == JIG.rstrip()
    assert (tune["num_bars"], tune["num_bars_fitting"]) == (4, 3)
    assert [tune["abc"][bar["start"] : bar["stop"]] for bar in tune["bars"]] == [
        "GAB dBG",
        "GAB d3e",
        "edB dBA",
        "G3 G3",
    ]
    assert [bar["fits"] for bar in tune["bars"]] == [True, False, True, True]
    assert (tune["bars"][1]["expected"], tune["bars"][1]["actual"]) == ("6/8", "7/8")
    assert (tune["key"], tune["key_estimate"], tune["metre"]) == ("G major", "G major", "6/8")
    assert (tune["title"], tune["form"], tune["error"]) == ("The Lark", "AA", None)


def test_bars_are_counted_as_written_and_as_musicians_do(client: TestClient) -> None:
    tune = "X:1\nM:2/4\nL:1/8\nK:G\nD | GABc | d2 B :: c | dcBA | G3 :|\n"
    (upbeat,) = checked(client, tune)["tunes"]
    assert (upbeat["num_bars"], upbeat["num_bars_fitting"]) == (6, 6)
    assert upbeat["length_in_bars"] == 4
    assert brief_is_met(tune, num_bars=4)
    assert not brief_is_met(tune, num_bars=6)
    (long,) = checked(client, JIG)["tunes"]
    assert (long["num_bars"], long["length_in_bars"]) == (4, None)


def brief_is_met(tune: str, num_bars: int) -> bool:
    brief = Brief("metadata_to_tune", rhythm="polka", key="G", metre="2/4", num_bars=num_bars)
    return {own.field: own.is_met for own in composing.met(brief, tune)}["num_bars"]


def rendered(client: TestClient, abc: str, format: str, **fields: Any) -> Any:  # noqa: A002
    answer = client.post("/v1/tunes/render", json={"abc": abc, "format": format, **fields})
    assert answer.status_code == 200, answer.text
    return answer


def melody(midi: bytes) -> list[int]:
    """Return the pitches of the voices, without the accompaniment of chord symbols."""
    tracks = mido.MidiFile(file=io.BytesIO(midi)).tracks
    return [m.note for track in tracks for m in track if m.type == "note_on" and m.velocity]


def as_written(abc: str) -> list[int]:
    return [pitch for bar in parse(abc).bars for note in bar.notes for pitch in note.pitches]


def test_midi_has_the_notes_the_tempo_and_the_instrument(client: TestClient) -> None:
    abc = JIG.replace("|:", "").replace(":|", "|]")
    notes = as_written(abc)
    plain = rendered(client, abc, "midi")
    assert melody(plain.content) == notes
    assert plain.headers["content-disposition"] == 'attachment; filename="the-lark.mid"'
    moved = rendered(client, abc, "midi", transpose=-3, tempo=2, program=73).content
    assert melody(moved) == [note - 3 for note in notes]
    before, after = (mido.MidiFile(file=io.BytesIO(m)).length for m in (plain.content, moved))
    assert after == pytest.approx(before / 2, rel=0.01)
    programs = [m.program for m in mido.MidiFile(file=io.BytesIO(moved)) if m.type[:3] == "pro"]
    assert programs == [73]


def test_chord_symbols_keep_the_piano(client: TestClient) -> None:
    song = SONG.replace("A2 D2", '"Dm"A2 D2')
    midi = mido.MidiFile(
        file=io.BytesIO(rendered(client, song, "midi", program=40, tempo=0.5).content)
    )
    changes = [m.channel for m in midi if m.type == "program_change"]
    notes = {m.channel for m in midi if m.type == "note_on"}
    assert changes == [0]
    assert len(notes) > 1
    tempos = [m.tempo for m in midi if m.type == "set_tempo"]
    assert tempos == [1_200_000]  # 100 quarter notes a minute, at half the speed


def test_musicxml_states_notes_tempo_and_instrument(client: TestClient) -> None:
    def read(**fields: Any) -> ElementTree.Element:
        return ElementTree.fromstring(rendered(client, SONG, "musicxml", **fields).content)

    root = read()
    assert len(list(root.iter("note"))) == len(as_written(SONG))
    assert root.find(".//sound").get("tempo") == "100"  # type: ignore[union-attr]
    root = read(tempo=0.5, program=73, transpose=2)
    assert root.find(".//sound").get("tempo") == "50"  # type: ignore[union-attr]
    assert root.findtext(".//midi-program") == "74"
    assert root.findtext(".//fifths") == "1"  # E minor
    untimed = SONG.replace("Q:1/4=100\n", "")
    answer = rendered(client, untimed, "musicxml", tempo=1.5)
    assert 'tempo="180"' in answer.text


def test_sound_is_not_silent_and_follows_the_tempo(client: TestClient) -> None:
    lengths = []
    for tempo in (2, 4):
        answer = rendered(client, JIG, "wav", tempo=tempo)
        samples, rate = soundfile.read(io.BytesIO(answer.content))
        assert np.abs(samples).max() > 0.5
        assert answer.headers["x-musicllm-sound-engine"] in (
            "pretty_midi",
            "tinysoundfont",
            "fluidsynth",
        )
        lengths.append(len(samples) / rate - 1)  # a second for the sound to decay
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.02)


def test_a_picture_is_transposed_and_says_what_that_loses(client: TestClient) -> None:
    answer = rendered(client, SONG + "w: Sing\n", "svg", transpose=2)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert ElementTree.fromstring(answer.content).tag.endswith("svg")
    assert answer.content != rendered(client, SONG, "svg").content
    assert json.loads(answer.headers["x-musicllm-problems"]) == [
        "the transposed score has no lyrics"
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "doc"}, "format='doc' is none of midi, mp3, musicxml, "),
        ({"format": "svg", "tempo": 2}, "tempo has no effect on format=svg; leave it out"),
        ({"format": "svg", "program": 0}, "program has no effect on format=svg; leave it out"),
        ({"format": "midi", "transpose": 25}, "transpose=25 is not within ±24"),
        ({"format": "midi", "tempo": 0.01}, "tempo=0.01 is not within 0.1 to 10.0"),
        ({"format": "midi", "program": 128}, "program=128 is not within 0 to 127"),
        ({"format": "midi", "tune": 1}, "tune: Extra inputs are not permitted"),
        ({"format": "midi", "tempo": "fast"}, "tempo: Input should be a valid number"),
        ({"format": "midi", "abc": ""}, "there is no tune to render: the ABC is empty"),
        ({"format": "midi", "abc": "X:1\nK:C\nC10000"}, "a number above 9,999"),
        ({"format": "midi", "abc": "X:1 " * 999}, "the text has 999 tunes; at most 100 are read"),
        ({"format": "midi", "abc": "x" * 64_001}, "at most 64000 characters"),
        ({"format": "midi", "abc": "X:1\nM:4/4\nK:C\nC''''", "transpose": 24}, "MIDI's range"),
    ],
)
def test_what_cannot_be_made_is_refused_with_its_reason(
    client: TestClient, fields: dict[str, Any], message: str
) -> None:
    answer = client.post("/v1/tunes/render", json={"abc": JIG, **fields})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def problems_of(client: TestClient, abc: str, format: str, **fields: Any) -> list[str]:  # noqa: A002
    answer = rendered(client, abc, format, **fields)
    return list(json.loads(answer.headers["x-musicllm-problems"]))


@pytest.mark.parametrize("between", ["\n", ""])
def test_two_tunes_are_not_made_one(client: TestClient, between: str) -> None:
    text = f"{JIG}{between}{SONG}"
    answer = client.post("/v1/tunes/render", json={"abc": text, "format": "midi"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "abc")
    assert "abc has 2 tunes, and a file has one" in answer.json()["error"]["message"]


def test_what_follows_an_empty_line_is_said_to_be_left_out(client: TestClient) -> None:
    problems = problems_of(client, f"Here:\n\n{JIG}\nGAB dBG |\n", "midi")
    assert problems == ["what follows the first empty line, which ends a tune, is left out"]
    assert problems_of(client, f"Here:\n\n{JIG}\n", "midi") == []


@pytest.mark.parametrize(
    ("before", "after", "reason", "format"),
    [
        ("K:G", "K:Hb lydian", 'line 6: "K:Hb lydian" names no key', "svg"),
        ("M:6/8", "M:0/0", '"M:0/0" names no metre', "svg"),
        ("M:6/8", "M:0/0", '"M:0/0" names no metre', "midi"),
        ("L:1/8", "L:1/0", '"L:1/0" names no note length', "svg"),
    ],
)
def test_a_tune_that_does_not_parse_is_a_problem_of_its_files(
    client: TestClient,
    before: str,
    after: str,
    reason: str,
    format: str,  # noqa: A002
) -> None:
    broken = JIG.replace(before, after)
    (tune,) = checked(client, broken)["tunes"]
    assert not tune["parses"]
    (problem,) = problems_of(client, broken, format)
    assert problem.startswith("the tune does not parse (")
    assert reason in problem


def test_words_that_a_file_lacks_are_problems(client: TestClient) -> None:
    words = f"{SONG}W: Sing of it\n"
    missing = ["the score has no words below the tune (W:)"]
    assert problems_of(client, words, "svg") == missing
    assert problems_of(client, words, "pdf") == missing
    assert problems_of(client, words, "midi") == []
    noted = SONG.replace("DE FG", '"^Slowly"DE FG') + "w: Sing\n"
    assert problems_of(client, noted, "svg") == []
    assert problems_of(client, noted, "musicxml") == [
        "the MusicXML has no annotations and no lyrics"
    ]
    voices = noted.replace("K:Dm\n", "K:Dm\nV:1\n") + "V:2\nD4 | D4 |\n"
    assert problems_of(client, voices, "svg") == [
        "a score of several voices has no annotations and no lyrics"
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"transpose": 25}, "transpose"),
        ({"tempo": 0}, "tempo"),
        ({"program": 128}, "program"),
        ({"format": "xml"}, "format"),
        ({"format": "svg", "tempo": 2}, "tempo"),
        ({"tune": 1}, "tune"),
    ],
)
def test_the_field_of_an_error_is_its_param(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/tunes/render", json={"abc": JIG, "format": "midi", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_null_is_as_left_out(client: TestClient) -> None:
    nulls = dict.fromkeys(("transpose", "tempo", "program"))
    assert rendered(client, JIG, "midi", **nulls).content == rendered(client, JIG, "midi").content
    nulls = dict.fromkeys(("is_tune", "offsets"))
    assert checked(client, JIG, **nulls) == checked(client, JIG)


@pytest.mark.parametrize("path", ["check", "render"])
def test_a_body_that_is_no_json_object_is_named_with_its_place(
    client: TestClient, path: str
) -> None:
    def message(content: str) -> str:
        answer = client.post(f"/v1/tunes/{path}", content=content)
        assert answer.status_code == 400
        return str(answer.json()["error"]["message"])

    assert message('{"abc":\n tune}').startswith("the body is not JSON: ")
    assert "(line 2, column " in message('{"abc":\n tune}')
    assert message("[]") == "the body is a list, and must be an object {...}"


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("The Lark", 'filename="the-lark.svg"'),
        (
            "Ó Súilleabháin",
            "filename=\"o-suilleabhain.svg\"; filename*=UTF-8''%C3%B3-s%C3%BAilleabh%C3%A1in.svg",
        ),
        ("茉莉花", "filename=\"tune.svg\"; filename*=UTF-8''%E8%8C%89%E8%8E%89%E8%8A%B1.svg"),
        ('../"x"\\', 'filename="x.svg"'),
    ],
)
def test_a_file_is_named_in_the_letters_of_its_title(
    client: TestClient, title: str, names: str
) -> None:
    answer = rendered(client, JIG.replace("The Lark", title), "svg")
    assert answer.headers["content-disposition"] == f"attachment; {names}"


def test_a_body_is_json_whatever_its_type_says() -> None:
    """As `curl -d` sends one."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps({"abc": "X:1\nL:1/8\nM:4/4\nK:C\nCDEF GABc|\n"})
    app = build_app(service_of({"scripted": ScriptedEngine()}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/tunes/check", content=body, headers=form)
    assert answer.json()["tunes"][0]["num_bars_fitting"] == 1


def test_a_file_that_is_made_when_the_server_is_cut_off_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = service_of({"scripted": ScriptedEngine()})

    async def file(_: TuneWorkshops, __: FileRequest) -> TuneFile:
        service.closing.cut()
        await asyncio.sleep(60)
        raise AssertionError("it was not cut off")

    monkeypatch.setattr(TuneWorkshops, "file", file)
    app = FastAPI()
    errors.install(app)
    app.include_router(tunes.router(service))
    with TestClient(app) as client:
        answer = client.post("/v1/tunes/render", json={"abc": JIG, "format": "midi"})
    assert answer.status_code == 503
    assert "the server is being stopped" in answer.json()["error"]["message"]
