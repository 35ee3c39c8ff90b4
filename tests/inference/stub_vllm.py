"""A program that takes vLLM's command line and speaks its protocol, for tests of the engine.

Its model answers with the prompt's tokens in words. `--misbehave` makes it end at once, or end when
it is first asked to write.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def main() -> None:  # noqa: C901
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", required=True)
    for name in ("model", "served-model-name", "generation-config", "host", "record", "misbehave"):
        parser.add_argument(f"--{name}")
    for name in ("port", "max-num-seqs", "max-model-len"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    if options.misbehave == "at once":
        print("RuntimeError: no device")
        sys.exit(3)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def _may(self) -> bool:
            return self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"

        def do_GET(self) -> None:
            model = {"id": options.served_model_name, "max_model_len": options.max_model_len}
            self._send(200 if self._may() else 401, {"data": [model]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if options.misbehave == "later":
                print("EngineDeadError", flush=True)
                os._exit(4)
            with open(options.record, "a") as file:  # noqa: PTH123
                file.write(json.dumps(body) + "\n")
            usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": 4}
            text = " ".join(map(str, body["prompt"]))
            choice = {"index": 0, "text": text, "finish_reason": "stop"}
            if not body.get("stream"):
                self._send(200, {"choices": [choice], "usage": usage})
                return
            self.send_response(200)
            self.end_headers()
            for event in ({"choices": [choice]}, {"choices": [], "usage": usage}):
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def _send(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    server = ThreadingHTTPServer((options.host, options.port), Handler)
    threading.Thread(target=server.serve_forever).run()


if __name__ == "__main__":
    main()
