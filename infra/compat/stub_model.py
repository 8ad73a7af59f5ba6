"""An OpenAI-compatible model on loopback that says which tokens it read and wrote, as vLLM does."""

import contextlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROMPT_TOKENS = [101, 7592, 2088, 102]
RESPONSE_TOKENS = [2023, 2003, 4]
_numbers = itertools.count(1)


def completion(asked):
    words = ["this", " is", "."]
    logprobs = [
        {"token": word, "bytes": list(word.encode()), "logprob": -0.25, "top_logprobs": []}
        for word in words
    ]
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": asked["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(words)},
                "finish_reason": "stop",
                "logprobs": {"content": logprobs},
                "token_ids": RESPONSE_TOKENS,
            }
        ],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
        "prompt_token_ids": PROMPT_TOKENS,
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps(completion(json.loads(body))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        """A line per request would hide what failed."""


@contextlib.contextmanager
def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
