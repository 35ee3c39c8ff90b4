"""Chat: a conversation with a model, in a terminal or through a pipe.

It makes no artifact: each conversation is a folder of the run folder, with its messages and what
was rendered.
"""

from __future__ import annotations

import sys
from pathlib import Path

from musicllm import console
from musicllm.inference.engines import ENGINES, Engine
from musicllm.job import Job
from musicllm.music.grammar import Grammar
from musicllm.retrieval import Index
from musicllm.runs.engines import engine_name, model_name, open_engine
from musicllm.runs.settings import rules_of_tunes, sampling_settings, tune_rules
from musicllm.serve.chat.answering import Manner, Trying
from musicllm.serve.chat.commands import COMMANDS
from musicllm.serve.chat.conversation import Conversation, shows_system
from musicllm.serve.chat.lines import Lines, PipedLines, TypedLines
from musicllm.serve.chat.session import Session
from musicllm.serve.chat.terminal import talk
from musicllm.serve.repair import REPAIRS
from musicllm.serve.tools import TOOLS, Workplace
from musicllm.serve.tools.loop import Kit, choose_protocol


def run(job: Job) -> list[tuple[str, object]]:
    """Talk with `inputs.model`, or the model of the configuration, until the person ends it.

    Raises:
        ConfigError: the rules of tunes contradict ABC.
        StageError: lines of a pipe could not be answered; the errors were printed.
        MusicLLMError: as `open_engine` does.
    """
    engine = open_engine(job)
    try:
        session = _session(job, engine)
        console.say(session.status())
        talk(session, _lines(job, session))
    finally:
        engine.close()
    return []


def _session(job: Job, engine: Engine) -> Session:
    config = job.config
    Grammar(rules_of_tunes(config))  # refuses what is no rule now, not when /grammar needs it
    manner = Manner(
        system=config.generation.system,
        settings=sampling_settings(config),
        rules=tune_rules(config),
        spare_rules=rules_of_tunes(config),
    )
    session = Session(
        Conversation(engine, manner, seed=config.seed),
        model=model_name(job),
        folder=job.folder,
        is_interactive=sys.stdin.isatty() and sys.stdout.isatty(),
        renderers=config.generation.render,
        follows_grammar=ENGINES[engine_name(job)].follows_grammar,
    )
    repair = REPAIRS[config.generation.repair]
    session.conversation.trying = Trying(
        config.generation.tries, repair, session.say_faults, session.say_earlier
    )
    if config.tools.names:
        session.conversation.kit = _kit(job, engine, session)
    return session


def _kit(job: Job, engine: Engine, session: Session) -> Kit:
    """Return the tools of a conversation.

    Raises:
        InputError: the protocol of `tools.protocol` is not told by the model's template.
        ArtifactError: the index is damaged.
    """
    settings = job.config.tools
    index = Index.open(job.input("index").path) if "index" in job.config.inputs else None
    protocol = choose_protocol(engine, settings.protocol)
    console.say(f"tools: {', '.join(settings.names)} (protocol {protocol.name})")
    return Kit(
        {name: TOOLS[name] for name in settings.names},
        protocol,
        settings.max_calls,
        shows_system(engine),
        Workplace(lambda: session.place, index),
        session.say_call,
    )


def _lines(job: Job, session: Session) -> Lines:
    if not session.is_interactive:
        return PipedLines(sys.stdin.buffer)
    history = Path(job.config.paths.cache) / "chat" / "history"
    return TypedLines(history, [f"/{name}" for name in COMMANDS], session.status)
