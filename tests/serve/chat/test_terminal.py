"""The terminal of a chat, driven through a pipe and through the line editor."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from musicllm.errors import StageError
from musicllm.music.grammar import TuneRules
from musicllm.serve.chat import player
from musicllm.serve.chat.commands import COMMANDS
from musicllm.serve.chat.lines import PipedLines, TypedLines
from musicllm.serve.chat.session import Session
from musicllm.serve.chat.terminal import talk
from tests.serve.chat.scripted import Reply, Scripted, conversation

TUNE = "X:1\nT:The Test\nL:1/8\nM:4/4\nK:D\nDEFG ABcd | DEFG ABc | DEFG ABcd | d8 |]\n"
"""Its second bar lacks an eighth."""

SOUND = TUNE.replace("ABc |", "ABc2 |")

CTRL_C, CTRL_D, ALT_ENTER = "\x03", "\x04", "\x1b\r"


def session_of(folder: Path, engine: Scripted, *, interactive: bool = False) -> Session:
    return Session(conversation(engine), "tiny", folder / "chats", interactive)


def piped(folder: Path, text: str, *replies: Reply, **settings: object) -> Session:
    """Hold a conversation whose lines come from a pipe."""
    session = session_of(folder, Scripted(*replies, **settings))  # type: ignore[arg-type]
    talk(session, PipedLines(io.BytesIO(text.encode())))
    return session


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def typed(folder: Path, keys: PipeInput, text: str, *replies: Reply) -> Session:
    """Hold a conversation whose lines are typed."""
    keys.send_text(text)
    session = session_of(folder, Scripted(*replies), interactive=True)
    words = [f"/{name}" for name in COMMANDS]
    talk(session, TypedLines(folder / "cache" / "history", words, session.status))
    return session


def test_a_pipe_holds_a_conversation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = piped(tmp_path, "Hi\n\nWhat \\\nnow?\n", "Hello.\n", "A reel.")
    out, err = capsys.readouterr()
    assert out == "> Hi\nHello.\n> What \nnow?\nA reel.\n"
    assert [turn.message for turn in session.conversation.turns] == ["Hi", "What \nnow?"]
    assert session.saved is not None
    assert session.saved.is_file()
    assert err == f"the conversation is in {session.saved}\n"


def test_an_empty_pipe_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piped(tmp_path, "\n/help\n", "Hello.")
    assert not (tmp_path / "chats").exists()
    assert capsys.readouterr().err == ""


def test_help_names_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piped(tmp_path, "/help\n", "a")
    lines = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert re.search(rf"/{name}\b.*{re.escape(command.meaning)}", lines), name


def test_the_page_has_the_table_of_help() -> None:
    page = (Path(__file__).parents[3] / "docs" / "CHAT.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        words = f"/{name} {command.argument}".strip().replace("|", r"\|")
        assert f"| `{words}` | {command.meaning} |" in page, name


def test_control_characters_of_an_answer_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = "\x1b]0;owned\x07 [red]text[/red] \u202e\r\x9b2J"
    piped(tmp_path, "Hi\x1b[2J\n", attack)
    out = capsys.readouterr().out
    assert "<U+001B>]0;owned<U+0007> [red]text[/red] <U+202E><U+000D><U+009B>2J\n" in out
    assert not {"\x1b", "\x07", "\u202e", "\r", "\x9b"} & set(out)


@pytest.mark.parametrize(
    "line", ["/\x1b]0;x\x07", "/load \x1b[2J", "/set \x1b[2J=1", "/seed \x1b["]
)
def test_nor_do_those_of_an_error(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError):
        piped(tmp_path, f"{line}\n", "a")
    assert "\x1b" not in capsys.readouterr().err


def test_a_tune_is_drawn_with_its_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = piped(
        tmp_path,
        "/set max_new_tokens=300\nWrite\nAgain\n",
        f"Here it is:\n{TUNE}",
        f"{TUNE}\n\n{SOUND}",
    )
    out = capsys.readouterr().out.splitlines()
    shown = [line for line in out if line.startswith("tune ")]
    assert shown[0] == ("tune 1: ♪ The Test, tune, D major, 4/4, 4 bars, 75% fit, form A, D4 to D5")
    assert [line[:7] for line in shown] == ["tune 1:", "tune 2:", "tune 3:"]
    assert out.count("bar 2 does not fit: 7/8 instead of 8/8") == 2
    assert any(line.startswith("  D4 ●") for line in out)
    assert len(session.tunes) == 3


def test_a_tune_that_cannot_be_read_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="a line of the input failed"):
        piped(tmp_path, "Write\n/render\n", "X:1\nL:1/8\nM:4/4\nK:D\nDE{FG | AB |]\n")
    out, err = capsys.readouterr()
    assert "tune 1: does not parse: line 5" in out
    assert "tune 1 does not parse: line 5" in err


def test_render_and_play_print_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = piped(tmp_path, "Write\n/render\n/play 1\n", f"{TUNE}")
    out = capsys.readouterr().out.splitlines()
    assert session.saved is not None
    folder = session.saved.parent
    paths = [Path(line) for line in out if line.startswith(str(folder))]
    assert {path.suffix for path in paths} >= {".svg", ".mid", ".wav"}
    assert all(path.stem == "tune-001" and path.stat().st_size for path in paths)
    assert paths[-1].suffix == ".wav"
    assert any(line.startswith("https://") for line in out)
    assert (folder / "tune-001.abc").read_text() == TUNE


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("/render", "there is no tune yet in what the model wrote"),
        ("Write\n/render 2", "there is no tune '2'; there are 1 to 1"),
        ("/rendr", "/rendr is no command; did you mean /render?"),
        ("/x", "/x is no command; /help lists the commands"),
        ("/set temprature=1", "/set temprature is no setting of a conversation; did you mean tem"),
        ("/set temperature=warm", "/set temperature=warm: it must be a number"),
        ("/set temperature=-1", "/set temperature=-1: it must be from 0 to 100"),
        ("/set top_k=1.5", "/set top_k=1.5: it must be a whole number"),
        ("/set temperature", "/set temperature has no value; write temperature=<value>"),
        ("/grammar maybe", "/grammar 'maybe' is neither on nor off"),
        ("/set tune.num_bars=few", "/set tune.num_bars=few: it must be a whole number"),
        ("/set tune.num_bars=0", "/set tune.num_bars=0: it must be from 1 to 200"),
        ("/set tune.metre=x", "/set tune.metre=x is no metre that the grammar writes; write one"),
        ("/set tune.required=perhaps", "/set tune.required=perhaps: it must be true or false"),
        ("/seed x", "/seed x: it must be a whole number from 0 to 4294967295"),
        ("/seed 4294967296", "/seed 4294967296: it must be a whole number from 0 to"),
        ("/retry", "there is nothing to retry: the conversation has no message yet"),
        ("Hi\n/edit", "/edit needs the new message where there is no terminal: /edit <message>"),
        ("/load gone.json", "gone.json does not exist; /save writes such a file"),
        ("/load", "there is no earlier conversation in "),
        ("/load /proc", "/proc is a folder; name a file, such as /proc/conversation.json"),
        ("/load /dev/null", "/dev/null is no regular file; name another"),
        ("/load a\0b", "cannot be read: embedded null byte; name another file"),
        ("/load ~nobody-at-all/x", "~nobody-at-all/x: there is no such home folder; write the"),
        ("/save /proc/x/y", "/proc/x/y cannot be written: No such file or directory; choose ano"),
        ("/save /dev/null/x", "/dev/null/x cannot be written: a file is where a folder should be"),
        (f"/save {'x' * 300}", "cannot be written: File name too long; choose another name"),
        (f"/load {'x' * 300}", "cannot be read: File name too long; name another file"),
        ("/set =3", "/set =3 names no setting; write <name>=<value>, as temperature=0.2"),
        ("/quit now", "/quit takes no argument; write /quit alone"),
        ("/new reel", "/new takes no argument; write /new alone"),
    ],
)
def test_a_mistake_is_said_and_the_pipe_goes_on(
    lines: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match=r"a line of the input failed; the errors are above"):
        piped(tmp_path, f"{lines}\nLast\n", TUNE)
    out, err = capsys.readouterr()
    assert reason in err
    assert out.split("> Last\n")[1].startswith("X:1")


def test_where_nothing_can_be_saved_the_chat_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chats").write_text("a file where a folder should be")
    with pytest.raises(StageError, match="2 lines of the input failed"):
        piped(tmp_path, f"A\nB\n/save {tmp_path / 'mine.json'}\n", TUNE)
    out, err = capsys.readouterr()
    assert err.replace("\n", " ").count("no folder for the conversation can be made in") == 2
    assert err.replace("\n", " ").count("a file is where a folder should be; /save <file>") == 2
    assert out.count("tune 1:") == out.count("tune 2:") == 1
    assert (tmp_path / "mine.json").is_file()


def test_a_value_that_breaks_a_rule_is_not_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.json"
    piped(tmp_path, f"A\n/save {mine}\n", "a")
    mine.write_text(mine.read_text().replace('"key": "D"', '"key": -7'))
    with pytest.raises(StageError, match="a line of the input failed"):
        piped(tmp_path, f"/load {mine}\n/set tune.metre=6/8\nB\n", "b")
    out, err = capsys.readouterr()
    assert f"{mine} cannot be loaded: spare_rules.key=-7: it must be text" in err
    assert out.endswith("> B\nb\n")


def test_a_line_that_is_not_utf8_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_of(tmp_path, Scripted("Hello."))
    with pytest.raises(StageError, match="a line of the input failed"):
        talk(session, PipedLines(io.BytesIO(b"Hi\n\xff\xfe\nThere\n")))
    assert "line 2 of the input is not UTF-8" in capsys.readouterr().err
    assert [turn.message for turn in session.conversation.turns] == ["Hi", "There"]


def test_an_engine_that_fails_is_said_and_what_was_written_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match="2 lines of the input failed"):
        piped(tmp_path, "A\nB\n/retry\nC\n", "One.", StageError("gone"), StageError("x"), "Four.")
    out, err = capsys.readouterr()
    assert "gone" in err
    assert out.endswith("> C\nFour.\n")


def test_settings_and_seed_and_grammar_change_the_next_answer(tmp_path: Path) -> None:
    session = piped(
        tmp_path,
        "A\n/set temperature=0 generation.top_k=5\n/seed 3\n/grammar on\nB\n/grammar off\nC\n",
        "a",
    )
    engine = session.conversation.engine
    assert isinstance(engine, Scripted)
    first, second, third = engine.requests
    assert (first.settings.temperature, first.seed, first.rules) == (0.8, 7, None)
    assert (second.settings.temperature, second.settings.top_k, second.seed) == (0, 5, 3)
    assert second.rules == session.conversation.manner.spare_rules
    assert third.rules is None


def test_settings_are_shown_all_or_those_that_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(tmp_path, "/set\n/set top_k=5\n", "a")
    every, changed = capsys.readouterr().out.split("> /set top_k=5\n")
    assert len(re.findall(r"^ ", every, re.MULTILINE)) == 1 + 5 + 11
    assert re.search(r" tune\.metre +null +value of M:, such as 6/8; null: any", every)
    assert [line.split()[:2] for line in changed.splitlines() if line.strip()] == [["top_k", "5"]]


def test_rules_of_tunes_are_set_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "tune.key=null tune.metre=6/8 tune.num_bars=8 tune.chords=G,D7 tune.required=true"
    session = piped(tmp_path, f"/grammar on\n/set {words}\n/grammar\nA\n", "a")
    engine = session.conversation.engine
    assert isinstance(engine, Scripted)
    assert engine.requests[0].rules == TuneRules(
        metre="6/8", num_bars=8, chords=("G", "D7"), required=True
    )
    out = capsys.readouterr().out
    assert "grammar: on tune.key=D\n" in out
    assert "grammar: on tune.metre=6/8 tune.num_bars=8 tune.chords=G,D7 tune.required=true\n" in out


def test_an_engine_that_does_not_follow_the_grammar_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = SOUND.removesuffix("cd | d8 |]\n")
    session = session_of(tmp_path, Scripted(TUNE, cut, SOUND, "Prose."))
    session.follows_grammar = False
    lines = b"/set tune.key=null\n/grammar on\nA\nB\nC\nD\n/grammar off\nA\n"
    talk(session, PipedLines(io.BytesIO(lines)))
    first, *breaches = capsys.readouterr().err.splitlines()[:-1]
    assert "what it writes is checked, not held to it" in first
    assert [line.partition(": ")[0] for line in breaches] == ["the answer breaks the grammar"] * 2
    assert re.search(r'line 6, column 2[34]: "." cannot stand here$', breaches[0])
    assert breaches[1].endswith("it ends within a tune, or without one")


def test_the_system_prompt_is_set_shown_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = piped(tmp_path, "/system Be brief.\nA\n/system off\nB\n/system\n", "a")
    engine = session.conversation.engine
    assert isinstance(engine, Scripted)
    assert [len(request.messages or ()) for request in engine.requests] == [2, 3]
    out = capsys.readouterr().out
    assert "system prompt: Be brief.\n" in out
    assert out.endswith("system prompt: none\n")


def test_turns_that_leave_the_context_are_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(tmp_path, f"{'x' * 80}\n" * 4 + "/retry\n", "a" * 60, context=350)
    err = capsys.readouterr().err
    said = [line for line in err.splitlines() if "not fit the context of 350 tokens" in line]
    assert [line.split(" not fit")[0] for line in said] == [
        "the oldest turn does", "the oldest 2 turns do",
    ]  # fmt: skip


def test_an_answer_that_is_cut_off_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(tmp_path, "Hi\n", "a" * 200)
    assert "cut off at 100 tokens; /set max_new_tokens=... allows more" in capsys.readouterr().err
    piped(tmp_path, "x" * 60 + "\n", "a" * 200, context=120)
    assert "cut off: the context is full after 60 tokens" in capsys.readouterr().err


def test_ctrl_c_ends_a_pipe_and_what_was_written_is_saved(tmp_path: Path) -> None:
    session = session_of(tmp_path, Scripted(("Once", KeyboardInterrupt()), "no"))
    with pytest.raises(KeyboardInterrupt):
        talk(session, PipedLines(io.BytesIO(b"A\nB\n")))
    assert session.saved is not None
    assert '"Once"' in session.saved.read_text()
    assert len(session.conversation.turns) == 1


def test_conversations_are_saved_loaded_and_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.json"
    session = piped(tmp_path, f"A\n/save {mine}\nB\n/new\nC\n/load {mine}\nD\n", TUNE)
    engine = session.conversation.engine
    assert isinstance(engine, Scripted)
    assert engine.seen == ["A", TUNE, "D"]
    assert len(list((tmp_path / "chats").glob("*/conversation.json"))) == 3
    assert f"loaded: {mine} (turns: 1, tunes: 1)\n" in capsys.readouterr().out
    again = piped(tmp_path, "/load\n", TUNE)
    assert [turn.message for turn in again.conversation.turns] == ["A", "D"]
    assert len(again.tunes) == 2


def test_a_conversation_with_another_model_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = piped(tmp_path, "A\n", "a")
    other = session_of(tmp_path, Scripted("b"))
    other.model = "small"
    assert first.saved is not None
    talk(other, PipedLines(io.BytesIO(f"/load {first.saved}\n".encode())))
    assert "it was held with tiny, and goes on with small" in capsys.readouterr().err


def test_lines_are_edited_and_ctrl_d_ends(
    tmp_path: Path, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        tmp_path, keys, f"Hx\x7fi\rtwo{ALT_ENTER}lines\r/retry\r/quit\r", "Hello.", "c", TUNE
    )
    messages = [turn.message for turn in session.conversation.turns]
    assert messages == ["Hi", "two\nlines"]
    out = capsys.readouterr().out
    assert "Hello.\n6 tokens, " in out
    assert "tune 1: ♪ The Test" in out


def test_lines_of_earlier_chats_come_back(tmp_path: Path, keys: PipeInput) -> None:
    typed(tmp_path, keys, f"One\rTwo{ALT_ENTER}lines\r{CTRL_D}", "a")
    editor = TypedLines(tmp_path / "cache" / "history", [], str)
    history = editor._session.history
    assert list(history.load_history_strings()) == ["Two\nlines", "One"]


def test_history_that_cannot_be_kept_costs_no_chat(
    tmp_path: Path, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    session = typed(tmp_path, keys, f"Hi\r{CTRL_D}", "a")
    assert len(session.conversation.turns) == 1
    assert "the lines of this chat are not kept for the next one" in capsys.readouterr().err


def test_edit_offers_the_last_message(tmp_path: Path, keys: PipeInput) -> None:
    session = typed(tmp_path, keys, f"A reel\r/edit\r in D\r{CTRL_D}", "a")
    assert [turn.message for turn in session.conversation.turns] == ["A reel in D"]


def test_ctrl_c_stops_an_answer_keeps_it_and_the_chat_goes_on(
    tmp_path: Path, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(
        tmp_path,
        keys,
        f"A\rB\r{CTRL_C}C\r{CTRL_D}",
        ("Once", KeyboardInterrupt()),
        KeyboardInterrupt(),
        "c",
    )
    answers = [turn.answer.text for turn in session.conversation.turns if turn.answer]
    assert answers == ["Once", "c"]
    err = capsys.readouterr().err
    assert "stopped; what is written is kept (/retry writes another answer)" in err
    assert "stopped before the first word; /retry asks again" in err
    assert "Ctrl-D or /quit ends the conversation" in err


def test_an_error_leaves_the_chat_running(
    tmp_path: Path, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    session = typed(tmp_path, keys, f"A\r/retry\r{CTRL_D}", StageError("gone"), "b")
    assert len(session.conversation.turns) == 1
    assert "gone" in capsys.readouterr().err


def program(folder: Path, name: str, lines: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_player_is_started_and_ends_with_the_chat(
    tmp_path: Path,
    keys: PipeInput,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.setattr(player, "PLAYERS", (("my-player", "--quiet"),))
    session = typed(tmp_path, keys, f"A\r/play\r{CTRL_D}", SOUND)
    assert "no player is installed here" in capsys.readouterr().err
    log = tmp_path / "log"
    program(bin_folder, "my-player", f'echo "$@" >{log}; exec sleep 60')
    session = typed(tmp_path, keys, f"A\r/play\r{CTRL_D}", SOUND)
    assert "my-player plays it" in capsys.readouterr().err
    assert session.saved is not None
    assert log.read_text().split() == ["--quiet", str(session.saved.parent / "tune-001.wav")]
    program(bin_folder, "my-player", "exit 1")
    typed(tmp_path, keys, f"A\r/play\r{CTRL_D}", SOUND)
    assert "my-player could not play it" in capsys.readouterr().err


def test_a_player_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "my-player", "trap '' TERM; while :; do sleep 0.05; done")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(player, "PLAYERS", (("my-player",),))
    monkeypatch.setattr(player, "STOP_S", 0.2)
    one = player.Player()
    assert one.play(tmp_path / "a.wav") == ("my-player", True)
    process = one._process
    assert process is not None
    one.stop()
    assert process.poll() == -9
