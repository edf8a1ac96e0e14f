"""What strangers may not do on a public host, tried through its real HTTP API."""

from __future__ import annotations

import json
import pickle
import re
import socket
import time
from dataclasses import asdict

import pytest
import torch

from explorer import link
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from tests.open.served import ROOT

FILE = {"meta": {"_type": "gradio.FileData"}}


def upload(app, name: str, content: bytes) -> str:
    """Upload a file; the place that Gradio gives it."""
    answer = app.client.post("/gradio_api/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    return answer.json()[0]


# ---- addresses


@pytest.mark.parametrize(
    "path",
    ["/monitoring", "/monitoring/summary", "/openapi.json", "/gradio_api/openapi.json", "/gradio_api/dev/reload",
     "/gradio_api/proxy=http://example.com/", "/gradio_api/run-history/records", "/gradio_api/vibe-code",
     "/gradio_api/token", "/gradio_api/deep_link?session_hash=x", "/?deep_link=x", "/gradio_api/stream/x",
     "/gradio_api/file=http://example.com/a.png", "/gradio_api/file=https:/example.com/a.png", "/docs"],
)  # fmt: skip
def test_addresses_that_the_page_does_not_need_are_not_there(public, path):
    assert public.client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "app.py", "../app.py", "..%2f..%2fetc/passwd", str(ROOT / "README.md")]
)
def test_no_file_of_the_machine_can_be_fetched(public, path):
    answer = public.client.get(f"/gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text


def test_the_store_of_runs_cannot_be_fetched(public):
    assert (public.home / "runs.sqlite").exists()
    assert public.client.get(f"/gradio_api/file={public.home / 'runs.sqlite'}").status_code in (403, 404)


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/theme.css", "/healthz"])
def test_no_place_on_the_server_stands_in_what_it_serves(public, path):
    text = public.client.get(path).text
    for secret in (str(ROOT), str(public.home), "site-packages"):
        assert secret not in text


def test_the_script_of_the_charts_is_served_to_be_kept(public):
    url = public.component("run")["props"]["value"]["plotly"]
    answer = public.client.get(f"/{url}")
    assert answer.status_code == 200 and "javascript" in answer.headers["content-type"]
    assert "immutable" in answer.headers["cache-control"]


# ---- headers and errors


@pytest.mark.parametrize("path", ["/", "/config", "/assets/none.js", "/nowhere", "/healthz"])
def test_every_answer_has_the_headers(public, path):
    headers = public.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert {"referrer-policy", "permissions-policy"} <= set(headers)


def test_what_does_not_fit_an_event_is_told_in_a_sentence(public):
    answer = public.event("arch", "input", file=[1, 2, 3])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("The page sent values")


def test_a_body_that_is_too_large_is_not_read(public):
    answer = public.client.post("/gradio_api/run/predict", json={"data": ["x" * 3_000_000]})
    assert answer.status_code == 413 and answer.json() == {"error": "This address takes 2,048 KB at most."}


def test_a_file_that_is_too_large_is_refused_before_it_comes(public):
    with socket.create_connection(public.client.base_url.netloc.decode().split(":"), timeout=10) as line:
        line.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2147483648\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        )
        answer = line.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413") and "security-policy" in answer


def test_an_upload_says_how_long_it_is(public):
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    assert public.client.post("/gradio_api/upload", headers=head, content=iter([b"--x"])).status_code == 411


# ---- folders, names, files


@pytest.mark.parametrize(("page", "kind"), [("", "folder:"), ("", "pattern:"), ("unet-", "masks:")])
@pytest.mark.parametrize("path", ["/etc", "/nowhere", str(ROOT / "assets" / "samples")])
def test_no_folder_of_the_machine_is_opened_or_even_told_to_exist(public, page, kind, path):
    answer = public.event(f"{page}path", "submit", **{f"{page}data": kind, f"{page}path": path})
    assert answer.status_code == 200
    assert "cannot be opened from a public page" in answer.text


def test_no_folder_of_pictures_is_opened_for_a_task_that_takes_some(public):
    assert public.event("unet-task", "input", **{"unet-task": "Sharpen"}).status_code == 200  # now it is on offer
    answer = public.event("unet-go", "click", **{"unet-task": "Sharpen", "unet-data": "pictures:", "unet-path": "/etc"})
    if "cannot be opened from a public page" in answer.text:
        return
    run = next(part for part in answer.json()["data"] if isinstance(part, dict) and part.get("run"))["run"]
    deadline = time.monotonic() + 60
    while (told := public.function("unet-run", "poll", [run, 0]).json())["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert told["state"] == "failed" and "cannot be opened from a public page" in told["reason"]


def test_a_run_on_a_folder_does_not_begin(public):
    before = public.client.get("/healthz").json()["store"]["runs"]
    answer = public.event("go", "click", data="folder:", path="/etc")
    assert "cannot be opened from a public page" in answer.text
    time.sleep(2.1)
    assert public.client.get("/healthz").json()["store"]["runs"] == before


@pytest.mark.parametrize(
    "file",
    [{**FILE, "path": "/etc/passwd"}, {**FILE, "path": str(ROOT / "app.py")}, {**FILE, "path": "http://example.com/w.pth"},
     {**FILE, "path": "https://example.com/w.pth", "url": "https://example.com/w.pth"}],
)  # fmt: skip
def test_a_weights_file_is_one_that_was_uploaded(public, file):
    answer = public.event("arch", "input", weights="File", file=file)
    assert answer.status_code in (400, 422)
    assert not list((public.home / "uploads").rglob("w.pth"))


@pytest.mark.parametrize("weights", ["/etc/passwd", "http://example.com/w.pth", str(ROOT / "app.py")])
def test_functions_open_no_file_by_its_name(public, weights):
    body = BodySpec(arch="squeezenet1_1", size=32)
    spec = {**asdict(ClassifierSpec(body)), "body": {**asdict(body), "weights": weights}}
    for name in ("activations", "effective", "field", "labels"):
        asked = {"spec": json.loads(json.dumps(spec)), "qual": "0.0", "photo": {"sample": "cat"}}
        assert "Only a weights file given in this page" in public.function("activations", name, asked).json()["error"]
    faces = public.function("ribbon", "faces", ["squeezenet1_1", weights, 32, None, 3]).json()
    assert "faces" not in faces
    text = link.to_json(ClassifierSpec(BodySpec(arch="squeezenet1_1", size=32)), TrainSpec())
    told = public.function("cost", "memory", {"spec": text.replace('"random"', json.dumps(weights))}).json()
    assert "root:" not in json.dumps(told)


def test_a_pickle_with_code_in_it_is_not_run(public, tmp_path):
    mark = tmp_path / "was-run"

    class Code:
        def __reduce__(self):
            return (mark.write_text, ("x",))

    torch.save({"0.weight": Code()}, tmp_path / "code.pth")
    for name, content in (("code.pth", (tmp_path / "code.pth").read_bytes()), ("bare.pth", pickle.dumps(Code()))):
        place = upload(public, name, content)
        answer = public.event("go", "click", weights="File", file={**FILE, "path": place}, epochs=1)
        assert answer.status_code == 200
        faces = public.function("ribbon", "faces", ["squeezenet1_1", place, 32, None, 3])
        assert "faces" not in faces.json()
        spec = json.loads(json.dumps(asdict(ClassifierSpec(BodySpec(arch="squeezenet1_1", size=32, weights=place)))))
        told = public.function("activations", "activations", {"spec": spec, "photo": {"sample": "cat"}}).json()
        assert "never run" in told["error"] or "broken" in told["error"]
    time.sleep(1)
    assert not mark.exists()


def test_weights_of_timm_are_not_fetched_for_strangers(public):
    pytest.importorskip("timm")
    for _ in range(50):
        answer = public.event("arch", "input", arch="timm:resnet18", weights="ImageNet")
        if "are not fetched on this public page" in answer.text:
            break
        time.sleep(0.1)
    assert "are not fetched on this public page" in answer.text


def test_a_pattern_of_ones_own_is_refused(public):
    answer = public.event("path", "submit", data="pattern:", path="/etc|(a+)+$")
    assert re.search("own machine|public page", answer.text)


# ---- operations


def test_health_needs_no_login_and_tells_nothing_private(public):
    answer = public.client.get("/healthz")
    told = answer.json()
    assert answer.status_code == 200 and told["status"] == "ok"
    assert set(told) == {"status", "version", "commit", "uptime_seconds", "queue", "store", "device"}
    assert told["queue"]["workers"] == 1 and told["store"]["writable"] is True
    assert str(public.home) not in answer.text
