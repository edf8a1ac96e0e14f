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


@dataclass(frozen=True)
class Function:
    """A server function of a widget, called through `component_server`; `heavy` where a network is described."""

    takes: str
    answers: str
    heavy: bool = True


FUNCTIONS = {
    "activations": Function('{"spec", "qual", "photo", "one_scale", "channel"}', "maps and figures of a layer"),
    "bring": Function("[me, file, name, use]", "an uploaded zip as a set of one's own, or why it cannot be"),
    "brought": Function("[me, use]", "one's own sets of pictures, and the limits", heavy=False),
    "checkerboard": Function('{"kernel", "stride", "padding", "output_padding", "seed"}', "checkerboards side by side"),
    "effective": Function('{"spec", "qual", "photo", "cell"}', "which pixels count for a cell"),
    "enlarge": Function('{"way", "grid", "kernel" or "weights", …}', "a grid of at most 8 by 8, enlarged step by step"),
    "faces": Function("[body, weights, size, cut, channels]", "what each stage makes of the sample picture"),
    "field": Function('{"spec", "qual"}', "the receptive field of a layer"),
    "growth": Function('{"spec", "batch", "precision", "optimizer"}', "costs by the size of the picture"),
    "labels": Function('{"spec", "photo"}', "what the uncut network calls a photo"),
    "maps": Function("a list of bodies", "the size of each one's last map"),
    "memory": Function('{"spec", "batch", "precision", "optimizer"}', "memory of a training step"),
    "picture": Function('{"photo", "size", "n_in"}', "a photo as a network gets it; at most 1 MB, 2048 pixels a side"),
    "poll": Function("[run, since]", "what is new in a run; its id is all that is needed to watch it", heavy=False),
    "race_look": Function('{"race", "runs", "seed", "seen"}', "how a race stands", heavy=False),
    "race_plan": Function('{"spec", "seeds"}', "which decoders would race, and for about how long"),
    "race_stop": Function('{"race", "token"}', "a sentence; the token is whoever's who began it", heavy=False),
    "remove": Function("[me, use, set]", "one's own sets after that one is gone", heavy=False),
    "runs_do": Function('{"me", "do", "runs", "text"}', "a sentence; of runs of one's own alone", heavy=False),
    "runs_export": Function('{"me", "runs", "as"}', "one's own runs as CSV or JSON", heavy=False),
    "runs_look": Function('{"me", "mark", …}', "the Runs page: one's own runs", heavy=False),
    "runs_more": Function('{"me", "run"}', "the record of a run of one's own", heavy=False),
    "samples": Function("nothing", "small sample pictures", heavy=False),
    "sights": Function("[body, weights, size, cut, channels]", "what each layer of a body sees"),
    "times": Function('{"spec", "batch", "precision", "optimizer", "backward"}', "time of each layer; one at a time"),
    "wish": Function("[run, token, pause or resume]", "a sentence; the token is whoever's who began it", heavy=False),
}
"""What widgets may ask the server, by name. All check what they are given: anyone can call them."""

CLOSED = {
    "/{page}": "there is one page",
    "/monitoring": "tells who used what",
    "/openapi.json": "would list all of these to programs",
    "/pwa_icon": "not used",
    "/svelte": "not used",
    f"{API}/call/v2": "the same as call, in another form",
    f"{API}/custom_component": "there are none",
    f"{API}/deep_link": "writes a page's values to the disk; links of ours hold them themselves",
    f"{API}/dev/reload": "for developers of Gradio apps",
    f"{API}/file/": "the older name of file=",
    f"{API}/mcp": "no event is offered to programs so far",
    f"{API}/openapi.json": "would list all of these to programs",
    f"{API}/process_recording": "nothing is recorded",
    f"{API}/profiling": "tells who used what",
    f"{API}/proxy=": "fetches addresses in the server's name",
    f"{API}/run-history": "keeps values in Gradio's history",
    f"{API}/runs": "as above",
    f"{API}/stream": "no component streams",
    f"{API}/token": "hands out the cookie of a login",
    f"{API}/undo-vibe": "would rewrite the app",
    f"{API}/vibe": "would rewrite the app",
}
"""Gradio's addresses that are not answered, and why."""


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """What answers a request; None where nothing does."""
    wanted = "GET" if method == "HEAD" else method
    return next((e for e in ENDPOINTS if e.method == wanted and e.pattern.fullmatch(path)), None)


def as_text() -> str:
    """`docs/endpoints.md`: these tables in words."""
    answered = [
        f"| {e.method} | `{e.path}` | {e.takes} | {_size(e)} | {ANYONE if e.open else LET_IN} | {e.kind} |"
        for e in ENDPOINTS
    ]
    called = [f"| `{name}` | {_cell(f.takes)} | {_cell(f.answers)} | {'heavy' if f.heavy else 'function'} |"
              for name, f in FUNCTIONS.items()]  # fmt: skip
    closed = [f"| `{path}` | {why} |" for path, why in CLOSED.items()]
    return "\n".join((ABOUT, *answered, ABOUT_FUNCTIONS, *called, ABOUT_CLOSED, *closed, ""))


def _size(endpoint: Endpoint) -> str:
    if endpoint.body is None:
        return "a file's limit"
    if endpoint.method == "GET":
        return "no body"
    return f"{endpoint.body // MB} MB" if endpoint.body >= MB else f"{endpoint.body // KB} KB"


def _cell(text: str) -> str:
    return f"`{text}`" if text[0] in "[{" else text


ANYONE, LET_IN = "anyone", "whoever is let in"
ABOUT = """# Every address of the app

`python -m explorer.ui.endpoints > docs/endpoints.md` writes this file from the tables that the guard in front of Gradio
goes by: what does not stand here is answered with 404, whatever Gradio has. An answer to something wrong is JSON,
`{"error": one sentence}`; an error of the server's own has an id that stands in its log, and tells nothing else.

"Whoever is let in" is anyone where EXPLORER_LOGIN is not set, else whoever has logged in. On a public host each visitor
(an IPv4 address, or a /64 of IPv6) has a budget of each kind; more is answered with 429 and Retry-After.

| method | address | accepts | at most | who | kind |
| --- | --- | --- | --- | --- | --- |"""

ABOUT_FUNCTIONS = """
Events of the page (`run`, `queue/join`) go by their number in `/config` and take as many values as that lists. A value
that a control cannot hold is answered with 422; a folder, pattern or file of the machine, a name that is none and a
number out of range with 200 and a sentence at its field.

## Functions of widgets

Called through `component_server` as JSON with component_id, fn_name, session_hash and data; never with files. What
cannot be done is answered with `{"error": one sentence}`, or with nothing to show.

| function | takes | answers | kind |
| --- | --- | --- | --- |"""

ABOUT_CLOSED = """
## Gradio's own that are closed

| address | why |
| --- | --- |"""

if __name__ == "__main__":
    print(as_text(), end="")
