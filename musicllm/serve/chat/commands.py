"""The slash commands of a chat: one table, from which /help, completion and the pages are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from musicllm import console
from musicllm.errors import InputError, MusicLLMError, RenderError
from musicllm.music.render import editor_link
from musicllm.serve.chat import settings
from musicllm.serve.chat.lines import Lines
from musicllm.serve.chat.session import Session, fail
from musicllm.serve.showing import visible


class Command(NamedTuple):
    """A command.

    Attributes:
        argument: how it is written in /help; in brackets if it may be left out.
        meaning: one line.
        run: gets the session, the source of lines and the argument.
    """

    argument: str
    meaning: str
    run: Callable[[Session, Lines, str], None]


class Quit(Exception):  # noqa: N818 - the end of a conversation is no error
    """The conversation ends."""


def _help(_session: Session, _lines: Lines, _argument: str) -> None:
    rows = [(f"/{name} {command.argument}", command.meaning) for name, command in COMMANDS.items()]
    console.table("", ("", ""), rows)
    console.say("A line that ends with \\ goes on; Ctrl-C stops an answer and keeps it.")


def _path(argument: str) -> Path | None:
    try:
        return Path(argument).expanduser() if argument else None
    except RuntimeError:
        raise InputError(f"{argument}: there is no such home folder; write the path out") from None


def _save(session: Session, _lines: Lines, argument: str) -> None:
    console.say(f"saved: {session.save(_path(argument))}")


def _load(session: Session, _lines: Lines, argument: str) -> None:
    path = session.load(_path(argument))
    turns, tunes = len(session.conversation.turns), len(session.tunes)
    console.say(f"loaded: {path} (turns: {turns}, tunes: {tunes})")


def _new(session: Session, _lines: Lines, _argument: str) -> None:
    session.clear()
    console.say("a new conversation, with the same settings")


def _render(session: Session, _lines: Lines, argument: str) -> None:
    rendering = session.render(argument, session.renderers)
    for path in rendering.files.values():
        console.say(str(path))
    problems = list(rendering.problems)
    try:
        console.say(editor_link(rendering.abc))
    except RenderError as error:
        problems.append(str(error))
    for problem in problems:
        console.note(visible(problem))


def _play(session: Session, _lines: Lines, argument: str) -> None:
    rendering = session.render(argument, ("sound",))
    sound = rendering.first(".wav", ".mp3")
    if sound is None:
        raise InputError(f"there is no sound: {visible('; '.join(rendering.problems))}")
    console.say(str(sound))
    played = session.player.play(sound) if session.is_interactive else None
    if played is not None:
        program, plays = played
        console.note(f"{program} {'plays it' if plays else 'could not play it'}")
    elif session.is_interactive:
        console.note("no player is installed here (such as mpv, ffplay or aplay); open the file")


def _retry(session: Session, _lines: Lines, _argument: str) -> None:
    session.retry()


def _edit(session: Session, lines: Lines, argument: str) -> None:
    old = session.conversation.last("edit").message
    message = argument or lines.edit(old)
    if message:
        session.edit(message)


def _system(session: Session, _lines: Lines, argument: str) -> None:
    if argument:
        session.conversation.set_system(None if argument == "off" else argument)
    system = session.conversation.manner.system
    console.say(f"system prompt: {'none' if system is None else visible(system)}")


def _set(session: Session, _lines: Lines, argument: str) -> None:
    conversation = session.conversation
    conversation.manner = settings.changed(conversation.manner, argument)
    rows = settings.shown(conversation.manner, settings.names(argument))
    console.table("", ("", "", ""), rows)


def _grammar(session: Session, _lines: Lines, argument: str) -> None:
    manner = session.conversation.manner
    if argument not in ("", "on", "off"):
        raise InputError(f"/grammar {argument!r} is neither on nor off")
    if argument:
        rules = manner.spare_rules if argument == "on" else None
        session.conversation.manner = manner = replace(manner, rules=rules)
    if manner.rules is None:
        console.say("grammar: off")
        return
    console.say(f"grammar: on {settings.rules_in_words(manner)}".rstrip())
    if not session.follows_grammar:
        console.note(
            "this engine does not sample under the grammar: what it writes is checked, not held "
            "to it"
        )


def _seed(session: Session, _lines: Lines, argument: str) -> None:
    if argument:
        session.conversation.seed = settings.seed(argument)
    console.say(f"seed of the next answer: {session.conversation.seed}")


def _quit(_session: Session, _lines: Lines, _argument: str) -> None:
    raise Quit


COMMANDS = {
    "help": Command("", "this table", _help),
    "save": Command("[file]", "save the conversation, as is done after every answer", _save),
    "load": Command("[file]", "continue a saved conversation; without a file the newest", _load),
    "new": Command("", "begin a new conversation", _new),
    "render": Command("[tune]", "write picture, MIDI and sound of a tune, or of the last", _render),
    "play": Command("[tune]", "play a tune, or write its sound where there is no player", _play),
    "retry": Command("", "another answer to the last message", _retry),
    "edit": Command("[message]", "change the last message and have it answered", _edit),
    "system": Command("[text]", "show or set the system prompt; off removes it", _system),
    "set": Command("[name=value ...]", "show or change settings, such as temperature=0.2", _set),
    "grammar": Command("[on|off]", "whether every bar of a tune has to be right", _grammar),
    "seed": Command("[number]", "show or set the seed of the next answer", _seed),
    "quit": Command("", "end the conversation; so does Ctrl-D", _quit),
}  # fmt: skip


def handle(session: Session, lines: Lines, line: str) -> None:
    """Run a command, or let the model answer a message; an error is printed.

    Raises:
        Quit: the line ends the conversation.
    """
    try:
        if line.startswith("/"):
            name, _, argument = line[1:].partition(" ")
            command, argument = _named(name), argument.strip()
            if argument and not command.argument:
                raise InputError(f"/{name} takes no argument; write /{name} alone")
            command.run(session, lines, argument)
        elif line:
            session.say(line)
    except MusicLLMError as error:
        fail(session, error)


def _named(name: str) -> Command:
    if name in COMMANDS:
        return COMMANDS[name]
    near = get_close_matches(name, COMMANDS, 1)
    fix = f"did you mean /{near[0]}?" if near else "/help lists the commands"
    raise InputError(f"/{visible(name)} is no command; {fix}")
