"""What programs and pages send to Gradio's own endpoints, checked before Gradio reads it: it trusts what it gets.

Gradio answers 500 to an unknown event, keeps a session for every name it is told, and fetches files from any address
that stands in place of an uploaded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from explorer.ui.endpoints import API

SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEEPEST = 60
MOST_DIGITS = 300
RELOAD = "This is no event of this page: reload it."
NO_FUNCTION = "There is no such function here: reload the page."


class Refused(ValueError):
    """A call that cannot be meant; its text is one sentence, `status` that of the answer."""

    def __init__(self, text: str, status: int = 400):
        super().__init__(text)
        self.status = status


def read_json(body: bytes) -> Any:
    """What a body says. Refuses half letters, endless numbers, NaN, and what is nested too deep."""
    try:
        said = json.loads(body, parse_constant=_no_number, parse_int=_whole)
        body.decode()
    except (ValueError, RecursionError) as error:
        raise Refused("The body is no JSON.") from error
    _check_parts(said, 0)
    return said


def check_call(blocks: gr.Blocks, path: str, body: bytes) -> str:
    """Refuse what no page of ours would send. Returns the server function's name, "" for all other calls."""
    said = read_json(body)
    if not isinstance(said, Mapping):
        raise Refused("The body is a JSON object.")
    session = said.get("session_hash")
    if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
        raise Refused("The session is a short word of letters and digits.")
    if path.startswith(f"{API}/component_server"):
        return _check_function(blocks, said)
    if path.startswith(f"{API}/call/"):
        _check_offered(blocks, path.split("/")[3])
    elif path.startswith((f"{API}/run/", f"{API}/api/", f"{API}/queue/join")):
        _check_event(blocks, said, queued=path.startswith(f"{API}/queue/join"))
    return ""


def check_stream(blocks: gr.Blocks, path: str, query: Mapping[str, str]) -> None:
    """Refuse to follow what nobody began: Gradio would begin an answer and break it off."""
    queue = blocks._queue
    if path.startswith(f"{API}/queue/data") and query.get("session_hash") not in queue.pending_messages_per_session:
        raise Refused("No event of this session waits.", 404)
    if path.startswith(f"{API}/call/"):
        event = path.split("/")[4]
        waiting = any(event in events for events in queue.pending_event_ids_session.values())
        if event not in queue.event_ids_to_events and not waiting:
            raise Refused("There is no such call.", 404)


def has_address(value: Any) -> bool:
    """Whether a value holds a file that lies at an address: Gradio would fetch it."""
    if isinstance(value, Mapping):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path) or any(map(has_address, value.values()))
    return isinstance(value, list) and any(map(has_address, value))


def _check_function(blocks: gr.Blocks, said: Mapping) -> str:
    """A server function of one of the widgets, asked by a session."""
    component, name = said.get("component_id"), said.get("fn_name")
    if not isinstance(said.get("session_hash"), str) or "data" not in said:
        raise Refused("A function is called with component_id, fn_name, session_hash and data.")
    if not _is_whole(component) or component not in blocks.blocks or not isinstance(name, str):
        raise Refused(NO_FUNCTION, 404)
    if not getattr(getattr(blocks.blocks[component], name, None), "_is_server_fn", False):
        raise Refused(NO_FUNCTION, 404)
    return name


def _check_event(blocks: gr.Blocks, said: Mapping, queued: bool) -> None:
    """An event by its number with as many values as it takes, sent to where events of its kind go."""
    number, data = said.get("fn_index"), said.get("data")
    if not _is_whole(number) or number not in blocks.fns:
        raise Refused(RELOAD, 404)
    event = blocks.fns[number]
    if not isinstance(data, list) or len(data) != len(event.inputs):
        raise Refused(f"This event takes a list of {len(event.inputs)} values.")
    if queued and not event.queue:
        raise Refused(f"This event does not wait its turn: send it to {API}/run/predict.")
    if queued and said.get("session_hash") is None:
        raise Refused("An event that waits its turn needs a session.")
    trigger = said.get("trigger_id")
    if trigger is not None and (not _is_whole(trigger) or trigger not in (blocks._id, *blocks.blocks)):
        raise Refused(RELOAD)
    if said.get("batched") or said.get("simple_format") or said.get("rendered_in") is not None:
        raise Refused(RELOAD)
    if has_address(data):
        raise Refused("Files are uploaded here, and not fetched from addresses.")


def _check_offered(blocks: gr.Blocks, name: str) -> None:
    """An event that is offered to programs."""
    if not any(event.api_name == name and event.api_visibility == "public" for event in blocks.fns.values()):
        raise Refused("No event of this name is offered to programs.", 404)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _no_number(constant: str) -> None:
    raise ValueError(constant)


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(digits)
    return int(digits)


def _check_parts(value: Any, depth: int) -> None:
    """Refuse what cannot be answered as JSON: half of a letter (a lone surrogate), or a nest without an end."""
    if depth > DEEPEST:
        raise Refused("The body is nested too deep.")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Refused("The body holds half a letter.")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _check_parts(key, depth + 1)
            _check_parts(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_parts(part, depth + 1)
