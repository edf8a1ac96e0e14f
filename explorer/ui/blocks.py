"""Gradio's Blocks with its errors told in one sentence: nothing of the server's inside goes to the page."""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from copy import copy

import gradio as gr

from explorer.ui.calls import has_address

log = logging.getLogger(__name__)

MISFIT = "The page sent values that do not belong to this event: reload it."
misfits: ContextVar[list | None] = ContextVar("misfits", default=None)
"""Of the request that is answered: something stands in it where what was sent does not fit its event."""


class Blocks(gr.Blocks):
    """A page whose events never tell a traceback or a path: what went wrong stands in the log under an id."""

    async def preprocess_data(self, block_fn, inputs, state, explicit_call: bool = False):
        """Values as components mean them; what they cannot mean is the sender's fault."""
        try:
            if has_address(inputs):
                raise ValueError("a file at an address")
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except Exception as error:
            raise gr.Error(MISFIT, print_exception=False) from error

    async def postprocess_data(self, block_fn, predictions, state):
        """What an answer changes. Gradio would make every component that it leaves alone anew, a millisecond each."""
        outputs = block_fn.outputs
        changed = [part for part in outputs if isinstance(predictions, dict) and part in predictions]
        if not 0 < len(changed) < len(outputs):
            return await super().postprocess_data(block_fn, predictions, state)
        few = copy(block_fn)
        few.outputs = changed
        values = {part: predictions[part] for part in changed}
        told = await super().postprocess_data(few, values if len(changed) > 1 else values[changed[0]], state)
        by_id = {part._id: value for part, value in zip(changed, told, strict=True)}
        return [by_id.get(part._id, gr.skip()) for part in outputs]

    async def process_api(self, *given, **named):
        """Answer an event. No handler of ours raises Gradio's Error: one that comes is about what was sent."""
        try:
            return await super().process_api(*given, **named)
        except gr.Error as error:
            noted = misfits.get()
            if noted is not None:
                noted.append(error)
            raise gr.Error(MISFIT, print_exception=False) from error
        except Exception as error:
            raise gr.Error(logged("An event failed", error), print_exception=False) from None


def logged(what: str, error: BaseException) -> str:
    """Write an error down under a new id, and return the sentence that may be told."""
    name = secrets.token_hex(4)
    log.error("%s (%s).", what, name, exc_info=error)
    return f"Something went wrong here, and stands in the server's log under {name}: try again, or reload the page."
