"""A server that speaks as much of wandb's GraphQL as saving views and reports takes."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "band"


class Server(ThreadingHTTPServer):
    """Keeps what is saved.

    Attributes:
        views: variables of the last save by id, which count from 1.
        num_saves: how often something was saved.
        refusal: error message of every save; empty accepts.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.views: dict[str, dict[str, Any]] = {}
        self.num_saves = 0
        self.refusal = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the only view of a type: project-view, or runs for a report."""
        (view,) = (view for view in self.views.values() if view["type"] == kind)
        return view

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            if self.refusal:
                return {"errors": [{"message": self.refusal}]}
            return {"data": {"upsertView": {"view": self._saved(variables), "inserted": True}}}
        if "SpecificReport" in query:
            return {"data": {"view": _node(variables["reportId"], self.views)}}
        if "allViews" in query:
            nodes = [_node(key, self.views) for key, view in self.views.items()
                     if view["name"] == variables["viewName"]]  # fmt: skip
            return {"data": {"project": {"allViews": {"edges": [{"node": n} for n in nodes]}}}}
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "flags": "{}", "email": None,
                  "teams": {"edges": []}}  # fmt: skip
        return {"data": {
            "viewer": viewer, "models": {"pageInfo": page, "edges": []},
            "upsertModel": {"model": {"id": "1", "name": "tunes", "entityName": ENTITY}},
        }}  # fmt: skip

    def _saved(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        self.num_saves += 1
        count = f"View:{len(self.views) + 1}".encode()
        key = variables.get("id") or base64.b64encode(count).decode()
        self.views[key] = variables
        return _node(key, self.views)


def _node(key: str, views: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    view = views.get(key)
    if view is None:
        return None
    project = {"id": "1", "name": view["projectName"], "entityName": view["entityName"]}
    names = ("name", "displayName", "description", "spec", "type")
    return {"id": key, **{name: view[name] for name in names}, "project": project,
            "createdAt": None, "updatedAt": None}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            request = json.loads(body)
            answer = self.server.answer(request["query"], request.get("variables") or {})
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
