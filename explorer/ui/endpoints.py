"""Every address that this app answers at. What does not stand in this table is answered with 404, whatever Gradio has.

`docs/endpoints.md` is this table in words: `python -m explorer.ui.endpoints` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

API = "/gradio_api"
KB, MB = 1024, 1024**2


@dataclass(frozen=True)
class Endpoint:
    """One address, and how it is guarded.

    path     as in a route: {name} is one step, {path} any number of them
    kind     whose rate it shares: see `explorer.ui.guard.RATES`
    takes    what it accepts, in words
    open     whether it answers without a login, where there is one
    body     how many bytes it reads at most; None: a file's limit holds
    checked  whether its JSON is checked before Gradio reads it (`explorer.ui.calls`)
    """

    method: str
    path: str
    kind: str
    takes: str
    open: bool = False
    body: int | None = 16 * KB
    checked: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        steps = re.escape(self.path).replace(r"\{path\}", ".*")
        object.__setattr__(self, "pattern", re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", steps) + "/?"))


ENDPOINTS = (
    Endpoint("GET", "/", "page", "a link's query; answers the page, or the login", open=True),
    Endpoint("GET", "/healthz", "health", "nothing; answers how app, queue and store are", open=True),
    Endpoint("GET", "/plotly-{version}.js", "page", "nothing; answers the script of the charts", open=True),
    Endpoint("GET", "/assets/{path}", "page", "the name of one of Gradio's own scripts, sheets and fonts", open=True),
    Endpoint("GET", "/static/{path}", "page", "the name of one of Gradio's own pictures and fonts", open=True),
    Endpoint("GET", "/theme.css", "page", "nothing", open=True),
    Endpoint("GET", f"{API}/theme.css", "page", "nothing", open=True),
    Endpoint("GET", "/favicon.ico", "page", "nothing", open=True),
    Endpoint("GET", "/robots.txt", "page", "nothing", open=True),
    Endpoint("GET", "/manifest.json", "page", "nothing", open=True),
    Endpoint("POST", "/login", "login", "a form with username and password, where EXPLORER_LOGIN is set", open=True),
    Endpoint("GET", "/logout", "page", "nothing; forgets the login", open=True),
    Endpoint("GET", "/config", "page", "nothing; answers what the page is made of"),
    Endpoint("GET", f"{API}/info", "page", "nothing; answers which events are offered to programs: none so far"),
    Endpoint("GET", f"{API}/startup-events", "page", "nothing; Gradio asks it once at the start", open=True),
    Endpoint("GET", f"{API}/login_check", "page", "nothing; answers whether one is logged in"),
    Endpoint("GET", f"{API}/user", "page", "nothing; answers as whom one is logged in", open=True),
    Endpoint("GET", f"{API}/app_id", "page", "nothing; answers a number that a restart changes", open=True),
    Endpoint("GET", f"{API}/heartbeat/{{session}}", "stream", "the page's session; open while it is", open=True),
    Endpoint("GET", f"{API}/queue/data", "stream", "the page's session; answers its queued events as they go on"),
    Endpoint("GET", f"{API}/queue/status", "page", "nothing; answers how many events wait"),
    Endpoint("GET", f"{API}/upload_progress", "stream", "an upload's id; answers how far it is"),
    Endpoint("GET", f"{API}/file={{path}}", "page", "the place of a file that was uploaded here; no other, no address"),
    Endpoint("POST", f"{API}/upload", "upload", "a form with files, each below the limit of uploads", body=None),
    Endpoint("POST", f"{API}/run/{{event}}", "event", "JSON: an event and its values", body=2 * MB, checked=True),
    Endpoint("POST", f"{API}/api/{{event}}", "event", "the same by its older name", body=2 * MB, checked=True),
    Endpoint("POST", f"{API}/queue/join", "event", "JSON: an event that waits its turn", body=2 * MB, checked=True),
    Endpoint("POST", f"{API}/call/{{event}}", "event", "JSON: values of an offered event", body=2 * MB, checked=True),
    Endpoint("GET", f"{API}/call/{{event}}/{{id}}", "stream", "the id of such a call; answers what came of it"),
    Endpoint("POST", f"{API}/component_server", "function", "JSON: a function of a widget and what it is asked",
             body=2 * MB, checked=True),
    Endpoint("POST", f"{API}/cancel", "event", "JSON: session, number and id of an event", open=True, checked=True),
    Endpoint("POST", f"{API}/reset", "event", "JSON: an event's id; does nothing", open=True, checked=True),
)  # fmt: skip

CLOSED = {
    "/openapi.json": "would list all of these to programs",
    "/monitoring": "tells who used what",
    f"{API}/openapi.json": "as above",
    f"{API}/call/v2": "the same as call, in another form",
    f"{API}/component_server with files": "no widget takes any",
    f"{API}/custom_component": "there are none",
    f"{API}/deep_link": "writes a page's values to the disk; links of ours hold them themselves",
    f"{API}/dev/reload": "for developers of Gradio apps",
    f"{API}/file/": "the older name of file=",
    f"{API}/process_recording": "nothing is recorded",
    f"{API}/profiling": "tells who used what",
    f"{API}/proxy=": "fetches addresses in the server's name",
    f"{API}/run-history, {API}/runs": "keeps values in Gradio's history",
    f"{API}/stream": "no component streams",
    f"{API}/token": "hands out the cookie of a login",
    f"{API}/vibe-edit and the like": "would rewrite the app",
    "/pwa_icon, /svelte": "not used",
}
"""Gradio's addresses that are not answered, and why."""


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """What answers a request; None where nothing does."""
    wanted = "GET" if method == "HEAD" else method
    return next((e for e in ENDPOINTS if e.method == wanted and e.pattern.fullmatch(path)), None)
