from __future__ import annotations

import pytest

from musicllm.evals.partial import Partial


def fail() -> object:
    raise AssertionError("measured again")


def test_measured_once(tmp_path) -> None:
    folder = tmp_path / "partial"
    assert Partial(folder, "aa").get("model-theory", lambda: {"accuracy": 0.5}) == {"accuracy": 0.5}
    assert Partial(folder, "aa").get("model-theory", fail) == {"accuracy": 0.5}


def test_what_this_run_and_an_interrupted_one_measured_is_counted_apart(tmp_path) -> None:
    earlier = Partial(tmp_path, "aa")
    earlier.get("theory", lambda: 1)
    earlier.get("old", lambda: 1)
    partial = Partial(tmp_path, "aa")
    (tmp_path / "old.json").write_text("{")

    for name in ("theory", "new", "new", "old", "old"):
        partial.get(name, lambda: 1)

    assert (partial.num_earlier, partial.num_shared) == (1, 2)
    assert (earlier.num_earlier, earlier.num_shared) == (0, 0)


def test_other_settings_measure_again(tmp_path) -> None:
    Partial(tmp_path, "aa").get("theory", lambda: 1)
    assert Partial(tmp_path, "bb").get("theory", lambda: 2) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"value": 1}'])
def test_damaged_file_is_measured_again(tmp_path, content: str) -> None:
    (tmp_path / "theory.json").write_text(content)
    assert Partial(tmp_path, "aa").get("theory", lambda: 2) == 2


def test_failed_measurement_keeps_nothing(tmp_path) -> None:
    with pytest.raises(AssertionError, match="measured again"):
        Partial(tmp_path, "aa").get("theory", fail)
    assert Partial(tmp_path, "aa").get("theory", lambda: 2) == 2


def test_removed(tmp_path) -> None:
    partial = Partial(tmp_path / "partial", "aa")
    partial.get("theory", lambda: 1)
    partial.remove()
    assert not (tmp_path / "partial").exists()
    partial.remove()
