"""Rules on what writes: the endpoint, the engine, and settings that it would not follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from musicllm.errors import Problem
from musicllm.model.gguf_file import SUFFIX
from musicllm.music.grammar import TuneRules
from musicllm.music.grammar.demands import problems
from musicllm.runs.stages import SERVING_TASKS as SERVING
from musicllm.runs.stages import STAGES, WRITING
from musicllm.schema import Config
from musicllm.serve.tools import TOOLS

VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""A name of a variable of the environment."""

OWN_OPTIONS = ("vllm",)
"""Engines of ours that have options."""

FREE = TuneRules()
"""Rules that leave everything to the writer."""

OURS = ("transformers", "gguf", "vllm", "endpoint")


def endpoints(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the address of a server, or with the settings beside it."""
    endpoint, engine = config.model.endpoint, config.inference.engine
    if endpoint is None:
        if engine == "endpoint":
            rule = "needs model.endpoint, which is null"
            yield Problem("inference.engine", engine, rule, "write model.endpoint=http://.../v1")
        if config.inference.model_name is not None:
            rule = "names a model on a server, and model.endpoint=null names no server"
            yield Problem("inference.model_name", config.inference.model_name, rule)
        return
    if config.task not in (*WRITING, "pipeline"):  # which passes it to the steps that write
        rule = f"writes texts, and task={config.task} needs the weights"
        yield Problem("model.endpoint", "***", rule, "leave it out")
    yield from _address(endpoint)
    if engine not in (None, "endpoint"):
        rule = "does not write with a server, but model.endpoint names one"
        yield Problem("inference.engine", engine, rule, "leave one of them out")
    for role in ("model", "adapter"):
        if role in config.inputs:
            rule = "is a second model beside model.endpoint"
            yield Problem(f"inputs.{role}", config.inputs[role], rule, "leave one of them out")
    if not VARIABLE.fullmatch(config.inference.api_key_env):
        rule = "is no name of an environment variable"
        fix = "write the name; the key itself stays in the environment"
        yield Problem("inference.api_key_env", "***", rule, fix)


def _address(endpoint: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(endpoint)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        yield Problem("model.endpoint", endpoint, f"is no address: {error}")
        return
    if parts.username or parts.password or parts.query:
        rule = "has a password or a query, and the configuration is saved with every run"
        fix = "keep the key in the variable that inference.api_key_env names"
        yield Problem("model.endpoint", "***", rule, fix)
    elif parts.scheme not in ("http", "https") or not host:
        rule = "is no address of a server: it does not begin with http:// or https://"
        yield Problem("model.endpoint", endpoint, rule, "write such as http://127.0.0.1:8000/v1")


def engines(config: Config) -> Iterator[Problem]:
    """Yield settings that the engine does not follow, and GGUF files where they are of no use."""
    location, options = config.model.location or "", config.inference.options
    is_file = location.endswith(SUFFIX)
    if is_file and config.task not in WRITING:
        rule = f"is a GGUF file, which writes texts, and task={config.task} needs the weights"
        fix = "name the folder of transformers that it was made of"
        yield Problem("model.location", location, rule, fix)
    if config.task not in WRITING:
        return
    engine = engine_of(config)
    if engine in OURS and engine not in OWN_OPTIONS and options:
        yield Problem("inference.options", options, f"are options that {engine} does not have")
    if engine in ("transformers", None):
        return
    if config.adapter.quantization is not None:
        rule = f"loads weights in 4 bits with transformers, and inference.engine is {engine}"
        yield Problem("adapter.quantization", config.adapter.quantization, rule, "write null")


def tunes(config: Config) -> Iterator[Problem]:
    """Yield rules of tunes that cannot be kept, or that no grammar keeps."""
    tune = config.generation.tune
    rules = TuneRules.of(vars(tune))
    changed = {
        name: value for name, value in vars(tune).items() if vars(rules)[name] != vars(FREE)[name]
    }
    can_switch = config.task in STAGES and STAGES[config.task].interactive
    if config.generation.grammar is None and not can_switch:
        for name, value in changed.items():
            rule, fix = "has no effect with generation.grammar=null", "write generation.grammar=abc"
            yield Problem(f"generation.tune.{name}", value, rule, fix)
    elif changed:  # who talks with the model can switch the grammar on
        yield from problems(rules)


def tries(config: Config) -> Iterator[Problem]:
    """Yield tries that nothing makes: the API and the page answer as the model does."""
    if config.task in SERVING and config.generation.tries > 1:
        rule = f"are made by generate and chat, and not by task={config.task}"
        yield Problem("generation.tries", config.generation.tries, rule, "write generation.tries=1")


def tools(config: Config) -> Iterator[Problem]:
    """Yield tools that nothing offers the model, and an index without the tool that reads it."""
    names = config.tools.names
    if names and config.task != "chat":
        rule = f"are called in a conversation of task=chat, and not with task={config.task}"
        yield Problem("tools.names", names, rule, "write tools=none")
        return
    needing = [name for name in names if name in TOOLS and TOOLS[name].needs_index]
    if needing and "index" not in config.inputs:
        rule = f"has {needing[0]}, which needs inputs.index"
        fix = "write inputs.index=<a run of recipe=index>, or tools=default"
        yield Problem("tools.names", names, rule, fix)
    if config.task == "chat" and "index" in config.inputs and not needing:
        rule = "is read by the tool find_similar, which tools.names lacks"
        yield Problem("inputs.index", config.inputs["index"], rule, "write tools=retrieval")


def second_models(config: Config) -> Iterator[Problem]:
    """Yield a second model that nothing would compare, or that the engine cannot read."""
    name = config.inputs.get("second_model")
    if name is None:
        return
    if config.task not in SERVING:
        rule = f"is compared by {' and '.join(SERVING)}, and not by task={config.task}"
        yield Problem("inputs.second_model", name, rule, "leave it out")
    elif config.inference.engine == "endpoint":
        rule = "is a model of this machine, and inference.engine=endpoint writes with a server"
        yield Problem("inputs.second_model", name, rule, "leave inference.engine out")
    elif name == config.inputs.get("model") and "adapter" not in config.inputs:
        rule = "is inputs.model itself"
        fix = "name another; one model is compared with and without the grammar by itself"
        yield Problem("inputs.second_model", name, rule, fix)


def engine_of(config: Config) -> str | None:
    """Return the engine as far as the settings tell; None where the input decides."""
    if config.inference.engine is not None:
        return config.inference.engine
    if config.model.endpoint is not None:
        return "endpoint"
    inputs = [config.inputs[role] for role in ("adapter", "model") if role in config.inputs]
    place = inputs[0] if inputs else config.model.location
    if place is not None and place.endswith(SUFFIX):
        return "gguf"
    return None if inputs else "transformers"
