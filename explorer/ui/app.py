"""The whole app: a page a family in tabs, and how it is launched."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")  # else pandas sums up after every queued event

import gradio as gr  # noqa: E402  (Gradio reads these variables while it is imported)

from explorer.ui.classifier_page import classifier_page  # noqa: E402
from explorer.ui.services import PLOTLY_JS, open_services  # noqa: E402
from explorer.ui.theme import theme  # noqa: E402
from explorer.ui.widget import icons, page_head, widget  # noqa: E402

TITLE = "Architecture explorer"


def build() -> gr.Blocks:
    """The page with its services: opens the store of runs and starts the queue."""
    services = open_services()
    gr.set_static_paths([PLOTLY_JS])
    with gr.Blocks(title=TITLE, fill_width=True) as demo, gr.Column(elem_id="app"):
        gr.HTML(icons(), apply_default_css=False)
        widget("brand", {})
        topbar = widget(
            "topbar", {"device": services.device, "kind": services.device_kind, "link": ""}, elem_id="right"
        )
        with (
            gr.Tabs(elem_id="pages", overflow_behavior="wrap"),
            gr.Tab("Classifier", id="classifier", elem_id="page-classifier"),
        ):
            page = classifier_page(services, topbar)
        demo.load(page.open_link, None, page.outputs, **page.how)
    return demo


def launch(demo: gr.Blocks) -> None:
    """Serve it; address and port by Gradio's own GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."""
    demo.queue(max_size=64).launch(
        theme=theme(), head=page_head(), footer_links=[], run_history=False, ssr_mode=False, show_error=True
    )
