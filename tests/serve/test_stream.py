"""Lines of results: written at once, continued after a kill, in whatever order they came."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.errors import ArtifactError
from musicllm.serve.stream import Stream


def line(number: int, candidate: int = 0) -> dict[str, object]:
    return {"number": number, "candidate": candidate, "answer": f"é\n{number} {candidate}"}


def test_lines_are_on_the_disk_at_once_and_read_by_place(tmp_path: Path) -> None:
    with Stream(tmp_path / "work" / "s.jsonl", 3, 2) as stream:
        for place in ((2, 1), (0, 0), (1, 1)):
            stream.add(line(*place))
            assert stream.path.read_bytes().count(b"\n") == len(stream)
        assert stream.read((2, 1)) == line(2, 1)
        stream.add(line(0, 1))
        assert list(stream.missing()) == [(1, 0), (2, 0)]
        assert (1, 1) in stream
        assert (1, 0) not in stream


def test_a_torn_last_line_is_due_again_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Stream(path, 3) as stream:
        for number in (1, 0, 2):
            stream.add(line(number))
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 2):
        path.write_bytes(whole[:-cut])
        with Stream(path, 3) as stream:
            assert stream.num_earlier == 2
            assert list(stream.missing()) == [(2, 0)]
            stream.add(line(2))
            assert path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Stream(path, 2) as stream:
        stream.add(line(0))
    for damage in (b"{\n", b"{}\n", b'{"number": 7, "candidate": 0}\n'):
        path.write_bytes(damage + b'{"number": 1, "candidate": 0}\n')
        with pytest.raises(ArtifactError, match=r"s\.jsonl:1 is damaged; delete this line"):
            Stream(path, 2)


def test_results_may_come_while_the_missing_ones_are_listed(tmp_path: Path) -> None:
    with Stream(tmp_path / "s.jsonl", 3) as stream:
        for number, candidate in stream.missing():
            stream.add(line(number, candidate))
        assert len(stream) == 3
