"""What Gradio's server is given beside the page: the guard in front of it, and addresses of our own."""

from __future__ import annotations

from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from explorer.data.uploads import limits
from explorer.host import is_public, on_space, rate_factor, trusted_proxies
from explorer.ui.blocks import Blocks
from explorer.ui.endpoints import MB
from explorer.ui.guard import SPACES, Guard, Rules
from explorer.ui.health import Health
from explorer.ui.services import PLOTLY_JS, PLOTLY_URL

SESSIONS = 400  # pages that are remembered, 360 kB each; of an older one the inner tab on show is forgotten
LARGEST_UPLOAD = 600 * MB  # a weights file on a public host
KEPT_UPLOADS = 6 * 3600  # seconds, on a public host
FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}


def doors(demo: Blocks) -> dict:
    """For `launch(app_kwargs=…)`."""
    rules = Rules(
        rate=rate_factor(),
        proxies=trusted_proxies(),
        upload=largest_upload(),
        folder=upload_folder(),
        framed_by=SPACES if on_space() else "",
    )
    health = Health(demo.services.queue, demo.services.device)
    return {
        "openapi_url": None,
        "middleware": [Middleware(Guard, blocks=demo, rules=rules)],
        "routes": [
            Route("/healthz", lambda request: healthz(health), methods=["GET"]),
            Route(f"/{PLOTLY_URL}", plotly_script, methods=["GET"]),
        ],
    }


def healthz(health: Health) -> Response:
    """How the app is; 503 where it cannot train."""
    report = health.report()
    return JSONResponse(report, 200 if report["status"] == "ok" else 503, headers={"Cache-Control": "no-store"})


def plotly_script(request: Request) -> Response:
    """The script of the charts; its address holds its version, so that browsers keep it."""
    return FileResponse(PLOTLY_JS, media_type="text/javascript", headers=FOR_GOOD)


def largest_upload() -> int | None:
    """Bytes of an uploaded file; None, no limit, on a host of one's own."""
    return max(LARGEST_UPLOAD, limits().bytes) if is_public() else None


def kept_uploads() -> tuple[int, int] | None:
    """(how often old uploads are removed, how old they are then) in seconds; None where they stay with the app."""
    return (KEPT_UPLOADS // 6, KEPT_UPLOADS) if is_public() else None


def upload_folder() -> Path:
    """Where uploads go."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
