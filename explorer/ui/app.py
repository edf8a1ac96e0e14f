"""The whole app: a page a family in tabs, and how it is launched."""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")  # else pandas sums up after every queued event

import gradio as gr  # noqa: E402  (Gradio reads these variables while it is imported)

from explorer import link  # noqa: E402
from explorer.host import is_public, login  # noqa: E402
from explorer.jobs import logs  # noqa: E402
from explorer.ui.blocks import Blocks  # noqa: E402
from explorer.ui.classifier_page import classifier_page  # noqa: E402
from explorer.ui.doors import SESSIONS, doors, kept_uploads, largest_upload  # noqa: E402
from explorer.ui.runs_page import runs_page  # noqa: E402
from explorer.ui.services import open_services  # noqa: E402
from explorer.ui.theme import theme  # noqa: E402
from explorer.ui.unet_page import unet_page  # noqa: E402
from explorer.ui.widget import icons, page_head, widget  # noqa: E402
from explorer.ui.wires import INSTANT, Page, Shell  # noqa: E402

TITLE = "Architecture explorer"
WELCOME = "Architecture explorer: log in with the name and the password that you were given."
PAGES = {"classifier": ("Classifier", classifier_page), "unet": ("U-Net", unet_page)}
"""By the family that a link names: what the tab is called, and what lays its page out."""
RUNS = "runs"


def build() -> gr.Blocks:
    """The page with its services: opens the store of runs and starts the queue."""
    services = open_services()
    with Blocks(title=TITLE, fill_width=True, delete_cache=kept_uploads()) as demo, gr.Column(elem_id="app"):
        gr.HTML(icons(), apply_default_css=False)
        widget("brand", {})
        topbar = widget(
            "topbar", {"device": services.device, "kind": services.device_kind, "link": ""}, elem_id="right"
        )
        shell = Shell(topbar, me=widget("me", "", classes=("unseen",)))
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as tabs:
            pages = {}
            for name, (title, lay_out) in PAGES.items():
                with gr.Tab(title, id=name, elem_id=f"page-{name}"):
                    pages[name] = lay_out(services, shell)
            with gr.Tab("Runs", id=RUNS, elem_id=f"page-{RUNS}"):
                runs_page(services)
        open_page(demo, tabs, pages, topbar)
    demo.services = services
    return demo


def open_page(demo: gr.Blocks, tabs: gr.Tabs, pages: Mapping[str, Page], progress: gr.HTML) -> None:
    """Let a visit open the page that its link is about; "?open=runs" opens the runs.

    Without one component for its progress, Gradio would tell all later events' progress to every output of this one.
    """

    def opened(request: gr.Request) -> dict:
        query = dict(request.query_params)
        name = link.family_of(link.decode(query).spec)
        on_show = RUNS if query.get("open") == RUNS else name
        return {**pages[name].opened(query), tabs: gr.update(selected=on_show)}

    outputs = list(dict.fromkeys(component for page in pages.values() for component in page.outputs))
    demo.load(opened, None, [tabs, *outputs], show_progress_on=progress, **INSTANT)


def launch(demo: Blocks, **more) -> gr.routes.App:
    """Serve it; address and port by Gradio's own GRADIO_SERVER_NAME and GRADIO_SERVER_PORT; returns the server."""
    logs.begin()
    users = login()
    app, _, _ = demo.queue(max_size=64).launch(
        theme=theme(),
        head=page_head(),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=not is_public(),
        enable_monitoring=False,
        state_session_capacity=SESSIONS,
        max_file_size=largest_upload(),
        auth=list(users) or None,
        auth_message=WELCOME if users else None,
        app_kwargs=doors(demo),
        **more,
    )
    return app
