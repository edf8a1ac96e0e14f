"""The table of addresses is the app's: what the guard goes by, what the document says, and what Gradio has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gradio.routes

from explorer.ui.endpoints import API, CLOSED, FUNCTIONS, as_text, endpoint_of
from tests.open.served import ROOT


def test_the_document_is_the_table():
    written = (ROOT / "docs" / "endpoints.md").read_text()
    assert written == as_text(), "python -m explorer.ui.endpoints > docs/endpoints.md"


def test_every_function_of_a_widget_stands_in_the_table(public):
    there = {name for c in public.config["components"] for name in c["props"].get("server_fns") or ()}
    assert there == set(FUNCTIONS)


def test_every_route_of_gradio_is_either_open_or_closed():
    """Where a new version of Gradio brings a new route, this asks which of both it is to be."""
    text = Path(gradio.routes.__file__).read_text()
    found = re.findall(r"@(router|app)\.(get|post)\(\s*f?\"([^\"]+)\"", text)
    assert len(found) > 60
    for owner, method, path in found:
        whole = (API if owner == "router" else "") + path
        is_open = endpoint_of(method.upper(), re.sub(r"{[^}]*}", "x", whole)) is not None
        assert is_open != whole.startswith(tuple(CLOSED)), (method, whole)


def test_answers_of_a_wrong_kind_are_json_with_a_sentence(public):
    for answer in (public.client.get("/nowhere"), public.client.post("/gradio_api/run/predict", json=[])):
        assert re.fullmatch(r"[A-Z].*\.", json.loads(answer.text)["error"])
