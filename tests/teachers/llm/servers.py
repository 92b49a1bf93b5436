"""A server that speaks OpenAI's chat protocol over real HTTP, with faults on demand."""

import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, top=None, usage=True):
    """The body of a chat completion; ``top`` gives the likeliest tokens of each token."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    if top is not None:
        content = [{"token": "t", "logprob": 0.0, "top_logprobs": _entries(likeliest)} for likeliest in top]
        choice["logprobs"] = {"content": content}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps(body).encode()


def _entries(likeliest):
    return [{"token": token, "logprob": value} for token, value in likeliest.items()]


def said(request):
    """All that a request's messages say, one after the other."""
    return "\n".join(message["content"] for message in request["messages"])


class Chat:
    """What the server got and gave. ``answer`` is called with a request and returns the answer's text or bytes.

    ``fault`` is called with a connection's handler, the request and how often this question came before; where it
    returns True, it has answered (or not) by itself.
    """

    def __init__(self, answer, fault=None):
        self.answer, self.fault = answer, fault
        self.requests, self.headers = [], []
        self.came, self.answered = Counter(), Counter()
        self.lock = threading.Lock()
        self.most_at_once = self._at_once = 0
        self.url = ""

    def handle(self, handler):
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        question = json.dumps(request, sort_keys=True)
        with self.lock:
            before = self.came[question]
            self.came[question] += 1
            self.requests.append(request)
            self.headers.append(handler.headers)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.fault is not None and self.fault(handler, request, before):
                return
            given = self.answer(request)
            send(handler, 200, given if isinstance(given, bytes) else completion(given))
            with self.lock:
                self.answered[question] += 1
        finally:
            with self.lock:
                self._at_once -= 1


def send(handler, status, body, headers=()):
    handler.send_response(status)
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving(chat, port=0):
    """Serve on this machine; ``chat.url`` is the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            chat.handle(self)

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_):
            pass  # connections that the client has given up

    server = Quiet(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()


def highest_title_first(request):
    """Rank the passages of ``tiny`` ("[n] Title j ...") by j, the highest first."""
    shown = re.findall(r"^\[(\d+)\] Title (\d+)", said(request), re.M)
    return " > ".join(f"[{number}]" for number, title in sorted(shown, key=lambda one: -int(one[1])))
