"""Limits of rate on a public host, and a host with a login."""

from __future__ import annotations

import pytest

from tests.open.served import serve, stop


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A public host whose limits are a hundredth of the usual, behind one proxy that is believed."""
    served = serve(tmp_path_factory.mktemp("slow"), EXPLORER_RATE="0.01", EXPLORER_TRUST_PROXY="1")
    yield served
    stop(served)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A host that asks for a name and a password."""
    served = serve(tmp_path_factory.mktemp("locked"), EXPLORER_LOGIN="ada:lovelace", EXPLORER_PUBLIC="0")
    yield served
    stop(served)


def asked(served, path, visitor, times=40, **body):
    """The answers of one visitor who asks again and again."""
    return [served.client.post(path, json=body, headers={"X-Forwarded-For": visitor}) for _ in range(times)]


@pytest.mark.parametrize(
    ("path", "body"),
    [("run/predict", {}), ("queue/join", {}), ("component_server/", {}), ("call/opened", {}), ("cancel", {})],
)
def test_whoever_asks_too_often_is_told_when_to_come_back(slow, path, body):
    answers = asked(slow, f"/gradio_api/{path}", "203.0.113.7", **body)
    late = [answer for answer in answers if answer.status_code == 429]
    assert late and answers[0].status_code != 500
    assert int(late[0].headers["retry-after"]) >= 1
    assert late[0].json() == {"error": "Too many requests: wait a moment, then go on."}


def test_one_visitor_does_not_use_up_what_another_may_ask(slow):
    assert asked(slow, "/gradio_api/run/predict", "203.0.113.8")[-1].status_code == 429
    assert asked(slow, "/gradio_api/run/predict", "203.0.113.9", times=1)[0].status_code == 404


def test_an_address_that_a_visitor_makes_up_does_not_help(slow):
    assert asked(slow, "/gradio_api/run/predict", "203.0.113.10")[-1].status_code == 429
    assert asked(slow, "/gradio_api/run/predict", "198.51.100.1, 203.0.113.10", times=1)[0].status_code == 429


def test_uploads_are_counted_in_bytes_too(slow):
    names = [slow.client.post("/gradio_api/upload", files={"files": ("a.bin", b"x" * 8_000_000)}) for _ in range(3)]
    assert 429 in [answer.status_code for answer in names]


def test_health_is_not_held_up(slow):
    assert {slow.client.get("/healthz").status_code for _ in range(5)} == {200}


@pytest.mark.parametrize("path", ["/config", "/gradio_api/info", "/gradio_api/queue/status", "/gradio_api/file=x"])
def test_without_a_login_nothing_is_told(locked, path):
    assert locked.client.get(path).status_code == 401


def test_without_a_login_the_page_is_the_login_and_events_are_refused(locked):
    page = locked.client.get("/").text
    assert "log in with the name" in page and '"dependencies":[]' in page
    body = {"fn_index": 0, "data": [None] * 40, "session_hash": "x"}
    assert locked.client.post("/gradio_api/run/predict", json=body).status_code in (400, 401)
    function = {"component_id": 1, "fn_name": "poll", "session_hash": "x", "data": []}
    assert locked.client.post("/gradio_api/component_server/", json=function).status_code in (401, 404)
    assert locked.client.post("/gradio_api/upload", files={"files": ("a", b"x")}).status_code == 401


def test_health_and_nothing_else_is_open_without_a_login(locked):
    assert locked.client.get("/healthz").json()["status"] == "ok"


def test_the_right_password_opens_and_the_wrong_one_does_not(locked):
    wrong = locked.client.post("/login", data={"username": "ada", "password": "byron"})
    assert wrong.status_code == 400 and locked.client.get("/config").status_code == 401
    right = locked.client.post("/login", data={"username": "ada", "password": "lovelace"})
    assert right.json() == {"success": True}
    cookies = {name: value for name, value in right.cookies.items() if "unsecure" in name}
    assert locked.client.get("/config", cookies=cookies).json()["username"] == "ada"


def test_passwords_cannot_be_tried_without_end(locked):
    tries = [locked.client.post("/login", data={"username": "ada", "password": str(i)}) for i in range(80)]
    assert tries[-1].status_code == 429
