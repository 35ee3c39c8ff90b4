"""What the words of licences forbid."""

from __future__ import annotations

import pytest
import yaml

from musicllm import config as configuration
from musicllm.report.licences import NO_SHARING, NO_TRAINING, broken, is_vague, unknown
from musicllm.report.lineage import Licence

FORBID_TRAINING = [
    "MIT for the collection (its card); tunes that come from The Session exclude training of "
    "language models",
    "may not be used for training",
    "no machine learning",
    "for evaluation only",
    "CC-BY-4.0, prohibits use by AI",
    "Training of models is forbidden; it forbids training",
]
FORBID_SHARING = [
    "all rights reserved",
    "CC BY-NC-ND 4.0",
    "must not be redistributed",
    "no derivatives",
    "proprietary",
]
FREE = ["Apache-2.0", "MIT", "CC-BY-SA-4.0 and GFDL", "Gemma Terms of Use",
        "Llama 3.1 Community License", "Qwen Research License (non-commercial)",
        "CC BY-NC 4.0"]  # fmt: skip


@pytest.mark.parametrize("text", FORBID_TRAINING)
def test_training_is_forbidden(text):
    (problem,) = broken([Licence("songs", "the data of songs", text)], overridden=[], shared=False)
    assert str(problem) == (
        f"export.override_licences=[] does not name songs, but the licence of the data of songs "
        f"forbids training: {text}; leave it out of the model, or, if you have permission, write "
        f"export.override_licences=[songs]"
    )


@pytest.mark.parametrize("text", FORBID_SHARING)
def test_sharing_is_forbidden_where_something_is_shared(text):
    licence = Licence("songs", "the data of songs", text)
    (problem,) = broken([licence], overridden=["books"], shared=True)
    assert "forbids sharing" in problem.rule
    assert problem.fix.endswith("export.override_licences=[books,songs]")
    assert not list(broken([licence], overridden=[], shared=False))
    assert not list(broken([licence], overridden=["songs"], shared=True))


@pytest.mark.parametrize("text", FREE)
def test_what_allows_both(text):
    assert not NO_TRAINING.search(text)
    assert not NO_SHARING.search(text)
    assert not is_vague(text)


def test_names_of_nothing():
    assert unknown([Licence("model", "", "MIT")], ["model", "songs"]) == ["songs"]


def test_sources_whose_licence_forbids_training_are_those_that_say_so():
    forbidding = set()
    for file in sorted((configuration.root() / "source").glob("*.yaml")):
        text = yaml.safe_load(file.read_text()).get("licence", "")  # else that of its default
        if NO_TRAINING.search(text):
            forbidding.add(file.stem)
    assert forbidding == {"irishman"}
