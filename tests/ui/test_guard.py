"""What stands between the network and Gradio."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import gradio as gr
import httpx
import pytest

from explorer.ui.guard import HEAVY_AT_ONCE, Guard, Rules


@pytest.fixture(scope="module")
def blocks():
    def faces(asked):
        return asked

    with gr.Blocks() as demo:
        demo.widget = gr.HTML(server_functions=[faces], js_on_load="")
        demo.box = gr.Textbox()
        demo.box.change(str.upper, demo.box, demo.box, queue=False)
    return demo


def ask(blocks, app, method, path, rules=None, **more) -> httpx.Response:
    async def asked():
        transport = httpx.ASGITransport(Guard(app, blocks, rules or Rules()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return asyncio.run(asked())


async def breaks(scope, receive, send):
    raise RuntimeError("/home/ada/secret.py is broken")


async def echoes(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def test_an_error_is_told_by_an_id_that_stands_in_the_log(blocks, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("explorer"), "propagate", True)
    answer = ask(blocks, breaks, "GET", "/config")
    told = answer.json()["error"]
    assert answer.status_code == 500 and "ada" not in answer.text and "Error" not in answer.text
    name = re.search(r"under (\w{8})", told)[1]
    assert name in caplog.text and "secret.py" in caplog.text


def test_a_body_that_was_read_is_given_on_whole(blocks):
    body = {"fn_index": 0, "data": ["é" * 1000], "session_hash": "abc"}
    assert ask(blocks, echoes, "POST", "/gradio_api/run/predict", json=body).json() == body


@pytest.mark.parametrize(
    ("change", "status"),
    [({"fn_index": 99}, 404), ({"fn_index": "0"}, 404), ({"fn_index": True}, 404), ({"data": []}, 400),
     ({"data": {}}, 400),
     ({"session_hash": "../x"}, 400), ({"session_hash": ["x"]}, 400), ({"trigger_id": 10**6}, 400),
     ({"batched": True}, 400),
     ({"data": [{"path": "http://example.com/x"}]}, 400), ({"data": ["\ud800"]}, 400)],
)  # fmt: skip
def test_events_that_no_page_would_send_are_refused(blocks, change, status):
    body = json.dumps({"fn_index": 0, "data": ["x"], "session_hash": "abc", **change}).encode()
    head = {"Content-Type": "application/json"}
    assert ask(blocks, breaks, "POST", "/gradio_api/run/predict", content=body, headers=head).status_code == status


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"data": NaN}', b"[" * 10_000, b"\xff", b'{"fn_index": ' + b"9" * 400 + b"}"]
)
def test_what_is_no_json_is_refused(blocks, raw):
    head = {"Content-Type": "application/json"}
    assert ask(blocks, breaks, "POST", "/gradio_api/run/predict", content=raw, headers=head).status_code == 400


def test_functions_of_gradio_itself_cannot_be_called(blocks):
    for name in ("faces", "preprocess", "__init__", "get_config"):
        body = {"component_id": blocks.widget._id, "fn_name": name, "session_hash": "x", "data": [1]}
        answer = ask(blocks, echoes, "POST", "/gradio_api/component_server/", json=body)
        assert answer.status_code == (200 if name == "faces" else 404)


def test_an_event_that_is_not_queued_does_not_open_a_line(blocks):
    body = {"fn_index": 0, "data": ["x"], "session_hash": "abc"}
    assert ask(blocks, breaks, "POST", "/gradio_api/queue/join", json=body).status_code == 400


def test_more_heavy_functions_than_there_is_room_for_wait_their_turn(blocks):
    most = now = 0

    async def slow(scope, receive, send):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        await echoes(scope, receive, send)

    async def all_at_once():
        guard = Guard(slow, blocks, Rules())
        body = {"component_id": blocks.widget._id, "fn_name": "faces", "session_hash": "x", "data": [1]}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://test") as client:
            calls = [client.post("/gradio_api/component_server/", json=body) for _ in range(3 * HEAVY_AT_ONCE)]
            return {answer.status_code for answer in await asyncio.gather(*calls)}

    assert asyncio.run(all_at_once()) == {200} and most == HEAVY_AT_ONCE


def test_a_space_may_be_shown_inside_its_page(blocks):
    answer = ask(blocks, echoes, "GET", "/", Rules(framed_by="https://huggingface.co"))
    assert answer.headers["content-security-policy"].endswith("frame-ancestors 'self' https://huggingface.co")
