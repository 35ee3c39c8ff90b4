"""Uploads, with a stand-in for the hub: nothing is sent anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from musicllm.errors import InputError, NotAvailableError
from musicllm.model.export import hub


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    for name, text in {"README.md": "card", "a/b.bin": "12345", "manifest.json": "{}"}.items():
        file = tmp_path / "model" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path / "model"


@pytest.fixture
def calls(monkeypatch):
    """What is called; `calls.error` is raised by the upload."""
    seen = SimpleNamespace(created=[], uploaded=[], error=None)

    class Api:
        def create_repo(self, name, **options):
            seen.created.append((name, options))

        def upload_folder(self, **options):
            if seen.error is not None:
                raise seen.error
            seen.uploaded.append(options)
            return "https://hub/me/reels/commit/1"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "a token")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return seen


def upload(folder):
    return hub.upload(folder, "me/reels", private=True, message="reels")


def refused(status):
    request = httpx.Request("POST", "https://hub")
    response = httpx.Response(status, request=request)
    return HfHubHTTPError("no", response=response)


def test_every_file_but_the_manifest_is_listed(folder):
    assert hub.files_of(folder) == [("README.md", 4), ("a/b.bin", 5)]


def test_a_folder_becomes_one_commit(folder, calls):
    assert upload(folder) == "https://hub/me/reels/commit/1"
    assert calls.created == [("me/reels", {"private": True, "exist_ok": True})]
    (options,) = calls.uploaded
    assert options["folder_path"] == folder
    assert options["ignore_patterns"] == ["manifest.json"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not_write(folder, calls, status):
    calls.error = refused(status)
    with pytest.raises(InputError, match=rf"refuses to write to me/reels \({status}\)"):
        upload(folder)


@pytest.mark.parametrize("error", [refused(500), OSError("no space"), httpx.ConnectError("down")])
def test_a_hub_that_does_not_answer(folder, calls, error):
    calls.error = error
    with pytest.raises(NotAvailableError, match="the upload to me/reels failed"):
        upload(folder)


def test_no_token(folder, calls, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(NotAvailableError, match="set HF_TOKEN, or run hf auth login"):
        upload(folder)
    assert not calls.created


def test_offline(folder, calls, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotAvailableError, match="HF_HUB_OFFLINE is set"):
        upload(folder)
    assert not calls.created
