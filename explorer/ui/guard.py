"""What stands between the network and Gradio: which addresses there are, how often and how much, and which headers.

Plain ASGI, so that streams pass untouched. Handed to Gradio's server by `launch(app_kwargs=…)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.ui.blocks import logged, misfits
from explorer.ui.calls import Refused, check_call, check_stream
from explorer.ui.endpoints import API, FUNCTIONS, KB, MB, Endpoint, endpoint_of
from explorer.ui.rates import EVERYBODY, Rate, Rates, visitor_of

log = logging.getLogger(__name__)

RATES = {
    "page": Rate(2000, 100),
    "health": Rate(600, 20),
    "event": Rate(600, 40),
    "function": Rate(900, 60),
    "heavy": Rate(300, 20),
    "stream": Rate(200, 10),
    "upload": Rate(30, 1 / 6),
    "bytes": Rate(1024 * MB, 1024 * MB / 3600),
}
"""What one visitor may ask for: requests, and bytes of uploads. One who moves knobs ten times a second while a run is
watched stays below a third of it."""
SHARED = {"bytes": Rate(4096 * MB, 2048 * MB / 3600)}
"""What all visitors together may ask for."""
LOGINS = {"login": Rate(60, 1 / 3)}
"""Tries to log in; they are counted on every host."""
HEAVY_AT_ONCE, HEAVY_IN_LINE = 12, 200
STREAMS_EACH, STREAMS = 64, 2000
LEAST_DISK = 1024 * MB  # that uploads leave free
FORM = 64 * KB  # around the files of an upload
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Gradio keeps the page's configuration in an inline script and makes functions of texts (`js_on_load`)."""
SPACES = "https://huggingface.co https://*.hf.space"
TOO_FAST = "Too many requests: wait a moment, then go on."


@dataclass(frozen=True)
class Rules:
    """How strict the guard is.

    rate        stretches RATES; 0 switches them off
    proxies     how many in front are believed about who asks
    upload      bytes of an uploaded file, None for no limit
    folder      where uploads go
    framed_by   other sites that may show this one in a frame
    """

    rate: float = 0.0
    proxies: int = 0
    upload: int | None = None
    folder: Path = Path("/")
    framed_by: str = ""


class TooFast(Exception):
    """More than one visitor may ask for; come again in `seconds`."""

    def __init__(self, seconds: float):
        self.seconds = seconds


class Guard:
    """The middleware. `blocks` is the page whose events and functions may be called."""

    def __init__(self, app: ASGIApp, blocks: gr.Blocks, rules: Rules):
        self._app, self._blocks, self._rules = app, blocks, rules
        self._rates, self._shared = Rates(RATES, rules.rate), Rates(SHARED, rules.rate)
        self._logins = Rates(LOGINS, 1.0)
        self._streams: Counter[str] = Counter()
        self._heavy, self._in_line = asyncio.Semaphore(HEAVY_AT_ONCE), 0
        policy = f"{POLICY} {rules.framed_by}".rstrip()
        self._headers = {**SECURITY, "Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, Reply(send, self._headers))

    async def _answer(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        try:
            await self._guarded(scope, receive, reply)
        except TooFast as error:
            await reply.refuse(429, TOO_FAST, {"Retry-After": str(max(1, round(error.seconds + 0.5)))})
        except Refused as error:
            await reply.refuse(error.status, str(error))
        except Exception as error:
            await reply.refuse(500, logged("A request failed", error))

    async def _guarded(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        path, headers = get_route_path(scope), Headers(scope=scope)
        endpoint = endpoint_of(scope["method"], path)
        if endpoint is None or not is_plain(path, scope["query_string"]):
            raise Refused("There is nothing at this address.", 404)
        visitor = visitor_of((scope.get("client") or ("",))[0], headers.get("X-Forwarded-For", ""), self._rules.proxies)
        self._pay(endpoint.kind, visitor)
        if endpoint.body is None:
            self._check_upload(headers, visitor)
        function = ""
        if endpoint.checked:
            if not headers.get("Content-Type", "").startswith("application/json"):
                raise Refused("This address takes JSON.", 415)
            body = await whole_body(receive, headers, endpoint.body)
            function, receive = check_call(self._blocks, path, body), replayed(body, receive)
        elif endpoint.body is not None and scope["method"] == "POST":
            receive = replayed(await whole_body(receive, headers, endpoint.body), receive)
        if endpoint.kind == "stream":
            check_stream(self._blocks, path, QueryParams(scope["query_string"]))
        async with self._turn(endpoint, function, visitor):
            reply.misfits = []
            misfits.set(reply.misfits)
            await self._app(scope, receive, reply)

    def _pay(self, kind: str, visitor: str, cost: float = 1.0) -> None:
        wait = self._rates.wait(kind, visitor, cost) or self._logins.wait(kind, visitor)
        if wait:
            raise TooFast(wait)

    def _check_upload(self, headers: Headers, visitor: str) -> None:
        """Refuse a file that is too large, or too much of them, before a byte of it is read."""
        length = headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused("An upload says how long it is (Content-Length).", 411)
        if not headers.get("Content-Type", "").startswith("multipart/form-data;"):
            raise Refused("Files come as a form (multipart/form-data).", 415)
        size, most = int(length), self._rules.upload
        if most is not None and size > most + FORM:
            raise Refused(f"A file may have {most // MB:,} MB here: choose a smaller one.", 413)
        if shutil.disk_usage(self._rules.folder).free - size < LEAST_DISK:
            raise Refused("There is no room for more files here: try again later.", 507)
        if wait := self._shared.wait("bytes", EVERYBODY, size):
            raise TooFast(wait)
        self._pay("bytes", visitor, size)

    @contextlib.asynccontextmanager
    async def _turn(self, endpoint: Endpoint, function: str, visitor: str):
        """Wait for a place among the heavy functions; count who keeps a stream open."""
        if function in FUNCTIONS and FUNCTIONS[function].heavy:
            self._pay("heavy", visitor)
            async with self._place():
                yield
        elif endpoint.kind == "stream":
            with self._stream(visitor):
                yield
        else:
            yield

    @contextlib.asynccontextmanager
    async def _place(self):
        """So that many who look into networks leave threads to those who move knobs."""
        if self._in_line >= HEAVY_IN_LINE:
            raise TooFast(5.0)
        self._in_line += 1
        try:
            async with self._heavy:
                yield
        finally:
            self._in_line -= 1

    @contextlib.contextmanager
    def _stream(self, visitor: str):
        limited = self._rules.rate > 0
        if limited and (self._streams[visitor] >= STREAMS_EACH * self._rules.rate or self._streams.total() >= STREAMS):
            raise TooFast(30.0)
        self._streams[visitor] += 1
        try:
            yield
        finally:
            self._streams[visitor] -= 1
            if not self._streams[visitor]:
                del self._streams[visitor]


class Reply:
    """`send` with the headers that every answer gets; the status of an event that did not fit is the sender's fault."""

    def __init__(self, send: Send, headers: dict[str, str]):
        self._send, self._headers, self._begun = send, headers, False
        self.misfits: list = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            if message["status"] == 500 and self.misfits:
                message = {**message, "status": 422}
            MutableHeaders(scope=message).update(self._headers)
        await self._send(message)

    async def refuse(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        """One sentence as JSON; nothing where an answer has begun already."""
        if self._begun:
            return
        body = json.dumps({"error": text}).encode()
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        await self({"type": "http.response.start", "status": status, "headers": as_raw(fields.items())})
        await self({"type": "http.response.body", "body": body})


def as_raw(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields]


def is_plain(path: str, query: bytes) -> bool:
    """No control characters, no address instead of a file, and none of Gradio's links to values on its disk."""
    if b"deep_link" in query or not path.isprintable():
        return False
    return not (path.startswith(f"{API}/file=") and "://" in path.replace(":/", "://"))


async def whole_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """A request's body; Refused where it is longer than `most` bytes, before more of it is read."""
    length = headers.get("Content-Length", "0")
    if not length.isdecimal() or int(length) > most:
        raise Refused(f"This address takes {most // KB:,} KB at most.", 413)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("The request broke off.")
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(f"This address takes {most // KB:,} KB at most.", 413)
        if not message.get("more_body"):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body once more, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
