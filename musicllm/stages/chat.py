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
from musicllm.runs.engines import engine_name, open_engine
from musicllm.runs.settings import rules_of_tunes, sampling_settings, tune_rules
from musicllm.serve.chat.commands import COMMANDS
from musicllm.serve.chat.conversation import Conversation, Manner
from musicllm.serve.chat.lines import Lines, PipedLines, TypedLines
from musicllm.serve.chat.session import Session
from musicllm.serve.chat.terminal import talk


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
        system=None,
        settings=sampling_settings(config),
        rules=tune_rules(config),
        spare_rules=rules_of_tunes(config),
    )
    return Session(
        Conversation(engine, manner, seed=config.seed),
        model=_model_name(job),
        folder=job.folder,
        is_interactive=sys.stdin.isatty() and sys.stdout.isatty(),
        renderers=config.generation.render,
        follows_grammar=ENGINES[engine_name(job)].follows_grammar,
    )


def _lines(job: Job, session: Session) -> Lines:
    if not session.is_interactive:
        return PipedLines(sys.stdin.buffer)
    history = Path(job.config.paths.cache) / "chat" / "history"
    return TypedLines(history, [f"/{name}" for name in COMMANDS], session.status)


def _model_name(job: Job) -> str:
    """Return what the model is called: as the command names it, or as its option does.

    Of the path of a folder or file it is the last part.
    """
    inputs = job.config.inputs
    named = [inputs[role] for role in ("adapter", "model") if role in inputs]
    named = [Path(name).resolve().name if Path(name).exists() else name for name in named]
    return " on ".join(named) or job.config.model.endpoint or job.config.model.name
