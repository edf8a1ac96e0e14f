"""Anybody may send anything to anything: thousands of calls of right and wrong shapes, made by Hypothesis.

None is answered with an error of the server, a traceback or a place on its disk, and the process does not grow.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer import link
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec, UnetSpec
from tests.open.served import ROOT, Served

CALLS, AGAIN, TOGETHER = 2600, 250, 20
GROWTH = 30 * 2**20  # bytes that the same calls may take once more: what was described is kept, up to a limit
SESSIONS = ("one", "two", "three")
ME = "a" * 32

NASTY = ("", "\u0000", "../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x.pth",
         "http://example.com/x.pth", "__class__", "constructor", "${1+1}", "<img src=x onerror=alert(1)>", "1e400",
         "-0", "NaN", "nan", "9" * 400, "a" * 3000, "timm:resnet18", "timm:../x", "folder:/etc", "pattern:/|(a+)+$",
         "masks:/etc|0:0", "pictures:~", "shapes", "imagenet", "File", "resnet18", "layer3", "0.0", "🔬",
         "é" * 50)  # fmt: skip
FILES = ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
         {"path": "http://example.com/a.pth", "meta": {"_type": "gradio.FileData"}},
         {"path": "https://example.com/a.pth", "url": "http://127.0.0.1:9/", "meta": {"_type": "gradio.FileData"}},
         {"path": "app.py", "is_stream": True, "meta": {"_type": "gradio.FileData"}},
         {"path": 3, "meta": {"_type": "gradio.FileData"}}, {"path": ""})  # fmt: skip

WORDS = ("", "x", "%00", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "http://example.com/a.png", "http:/a.b", "a" * 300,
         "https:%2f%2fexample.com", "index.html", "%ff", "-1", "predict", "answer")  # fmt: skip
ADDRESSES = (
    "/{}", "/config?page={}", "/config?deep_link={}", "/?body={}", "/?deep_link={}", "/assets/{}", "/static/{}",
    "/svelte/{}", "/theme.css?{}", "/pwa_icon/{}", "/monitoring/{}", "/logout?all_session={}", "/plotly-{}.js",
    "/healthz?{}", "/login",
    *(f"/gradio_api/{path}" for path in (
        "file={}", "file/{}", "proxy={}", "info?{}", "custom_component/{}/client/component/{}", "stream/{}",
        "stream/{}/{}/1/playlist.m3u8", "call/{}/{}", "call/v2/{}", "run/{}", "api/{}", "queue/status?{}", "upload",
        "queue/data?session_hash={}", "queue/join", "run-history/records?{}", "runs", "deep_link?session_hash={}",
        "token", "user", "login_check", "app_id", "openapi.json", "profiling/traces", "process_recording", "cancel",
        "upload?upload_id={}", "reset", "component_server", "startup-events", "theme.css", "mcp/{}", "vibe-edit",
        "vibe-code")),
)  # fmt: skip
BROKEN = (b"", b"{", b'{"data": [NaN]}', b'"\\ud800"', b"[" * 5000, b"\xff\xfe", b'{"data": ' + b"9" * 5000 + b"}")
KINDS = ("application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain")
HEADERS = ((), (("Range", "bytes=5-2"),), (("Range", "bytes=-"),), (("X-Forwarded-For", "a, b"),),
           (("X-Forwarded-Host", "evil.example"),))  # fmt: skip

scalars = (
    st.none() | st.booleans() | st.integers(-(10**4), 10**4) | st.sampled_from((2**31, 2**63, 2**64, -1, 10**30, 0))
    | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(NASTY) | st.text(max_size=20)
)  # fmt: skip
junk = st.recursive(
    scalars | st.sampled_from(FILES),
    lambda part: (
        st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(NASTY), part, max_size=4)
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Call:
    """A request: method, path, and a body as JSON, or raw."""

    method: str
    path: str
    json: object = None
    raw: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, client: httpx.Client) -> httpx.Response:
        content = self.raw
        if content is None and self.json is not None:
            content = json.dumps(self.json, ensure_ascii=True).encode()
        headers = (
            {"Content-Type": "application/json", **dict(self.headers)} if content is not None else dict(self.headers)
        )
        return client.request(self.method, self.path, content=content, headers=headers)


def places(value: object, at: tuple = ()) -> list[tuple]:
    """Where in a JSON value something can be put in place of what stands there."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] + [place for key, part in parts for place in places(part, (*at, key))]


def put(value: object, at: tuple, new: object) -> object:
    if not at:
        return new
    value = copy.copy(value)
    value[at[0]] = put(value[at[0]], at[1:], new)
    return value


@st.composite
def spoiled(draw, honest: object, most: int = 3):
    """An honest value, in which a few parts have become something else."""
    for _ in range(draw(st.integers(0, most))):
        honest = put(honest, draw(st.sampled_from(places(honest))), draw(junk))
    return honest


def honest_arguments() -> dict[str, list]:
    """For each server function what a page may ask."""
    small, train = BodySpec(arch="squeezenet1_1", size=32, weights="random"), TrainSpec()
    classifier, unet = ClassifierSpec(small), UnetSpec(BodySpec(arch="resnet18", size=32, weights="random"))
    spec, step = link.to_json(classifier, train), {"batch": 4, "precision": "float32", "optimizer": "adamw"}
    seen = {"spec": json.loads(json.dumps(asdict(classifier))), "qual": "0.0", "photo": {"sample": "cat"}}
    grid, kernel = [[1, 2, 3]] * 3, [[1, 0, 1]] * 3
    knobs = {"stride": 2, "padding": 1, "output_padding": 1}
    return {
        "maps": [["squeezenet1_1", 0], []],
        "faces": [["squeezenet1_1", "random", 32, None, 3], ["resnet18", "imagenet", [32, 48], "layer3", 1]],
        "sights": [["squeezenet1_1", "random", 32, None, 3]],
        "memory": [[{"spec": spec, **step}]],
        "growth": [[{"spec": spec, **step}]],
        "times": [[{"spec": "", **step, "backward": True}]],
        "samples": [[]],
        "activations": [[{**seen, "one_scale": True, "channel": None}], [{**seen, "channel": 0}]],
        "labels": [[seen]],
        "picture": [[{"photo": {"sample": "cat"}, "size": 32, "n_in": 3}],
                    [{"photo": {"uri": "data:image/png;base64,iVBORw0KGgo="}, "size": 32, "n_in": 3}]],
        "field": [[seen]],
        "effective": [[{**seen, "cell": [0, 0]}]],
        "poll": [["run", 0], [None, 0]],
        "race_plan": [[{"spec": link.to_json(unet, train), "seeds": 1}]],
        "race_look": [[{"race": "x", "runs": ["x"], "seed": 0, "seen": ""}]],
        "race_stop": [[{"race": "x", "token": "x"}]],
        "runs_look": [[{"me": ME, "mark": "", "group": "", "show": "", "picked": [], "open": [], "most": 20}]],
        "runs_do": [[{"me": ME, "do": "note", "runs": ["x"], "text": "seen"}]],
        "runs_more": [[{"me": ME, "run": "x"}]],
        "runs_export": [[{"me": ME, "runs": [], "as": "csv"}]],
        "wish": [["run", "token", "pause"]],
        "enlarge": [[{"way": "nearest", "grid": grid, "kernel": kernel}],
                    [{"way": "transposed", "grid": grid, "kernel": kernel, **knobs}],
                    [{"way": "shuffle", "grid": grid, "init": "icnr", "seed": 0, "blur": True}]],
        "checkerboard": [[{"kernel": 3, **knobs, "seed": 0}]],
    }  # fmt: skip


def functions_of(config: dict) -> list[tuple[int, str]]:
    """Every server function of the page: (component, name)."""
    return [(c["id"], name) for c in config["components"] for name in c["props"].get("server_fns") or ()]


def calls_on(app: Served) -> st.SearchStrategy[Call]:
    """Calls of every event, every server function and every address."""
    arguments = honest_arguments()
    events = [app.asked(found) for found in app.config["dependencies"]]
    functions = functions_of(app.config)

    @st.composite
    def event(draw):
        honest = draw(st.sampled_from(events))
        data = list(honest["data"])
        for place in draw(st.lists(st.integers(0, max(0, len(data) - 1)), max_size=3)) if data else ():
            data[place] = draw(spoiled(data[place]))
        body = {**honest, "data": data, "event_data": draw(junk), "session_hash": draw(st.sampled_from(SESSIONS))}
        path = draw(
            st.sampled_from(("run/predict", "run/predict", "run/predict", "api/answer", "queue/join", "call/answer"))
        )
        return Call("POST", f"/gradio_api/{path}", draw(spoiled(body, 1)) if draw(st.booleans()) else body)

    @st.composite
    def function(draw):
        component, name = draw(st.sampled_from(functions))
        data = draw(spoiled(draw(st.sampled_from(arguments.get(name, [[{}]])))))
        body = {
            "component_id": component,
            "fn_name": name,
            "session_hash": draw(st.sampled_from(SESSIONS)),
            "data": data,
        }
        return Call(
            "POST", "/gradio_api/component_server/", draw(spoiled(body, 1)) if draw(st.integers(0, 5)) == 0 else body
        )

    @st.composite
    def address(draw):
        path = draw(st.sampled_from(ADDRESSES)).replace("{}", draw(st.sampled_from(WORDS)))
        method = draw(st.sampled_from(("GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")))
        more = draw(st.sampled_from(HEADERS))
        raw = draw(st.none() | st.sampled_from(BROKEN) | st.binary(max_size=50))
        if raw is None:
            return Call(method, path, headers=more)
        return Call(method, path, raw=raw, headers=(("Content-Type", draw(st.sampled_from(KINDS))), *more))

    @st.composite
    def body(draw):
        path = draw(
            st.sampled_from(("run/predict", "queue/join", "component_server", "cancel", "reset", "call/opened"))
        )
        return Call("POST", f"/gradio_api/{path}", draw(junk))

    return st.one_of(event(), event(), event(), function(), function(), function(), address(), body())


@pytest.fixture(scope="module")
def secrets_of(public) -> tuple[str, ...]:
    """What no answer may hold."""
    return (str(public.home), str(ROOT), sys.prefix, str(Path.home()) + "/", "site-packages", "root:x:0", "Traceback")


def test_no_call_breaks_the_server_tells_its_inside_or_makes_it_grow(public, secrets_of):
    sent, bad, last = 0, [], deque(maxlen=AGAIN)

    def answered(call: Call) -> tuple[Call, httpx.Response]:
        return call, call.send(public.client)

    with ThreadPoolExecutor(4) as pool:

        @settings(max_examples=CALLS // TOGETHER, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(st.lists(calls_on(public), min_size=TOGETHER, max_size=TOGETHER))
        def fuzz(calls):
            nonlocal sent
            last.extend(calls)
            for call, answer in pool.map(answered, calls):
                sent += 1
                found = [secret for secret in secrets_of if secret in answer.text]
                if answer.status_code >= 500 or found:
                    bad.append((answer.status_code, found, call, answer.text[:300]))

        fuzz()
        list(pool.map(answered, last))
        before = public.memory(), public.threads(), public.files()
        list(pool.map(answered, [*last, *last]))
    assert bad[:5] == [] and sent >= 2000
    after = public.memory(), public.threads(), public.files()
    assert after[0] - before[0] < GROWTH
    assert after[1] <= before[1] + 4
    assert after[2] <= before[2] + 20
    assert public.client.get("/healthz").json()["status"] == "ok"
    assert "Traceback" not in public.log.read_text()
