"""The app as strangers meet it: a server of its own with EXPLORER_PUBLIC=1, called as any program may call it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9"  # a proxy at which nobody answers


@dataclass
class Served:
    """A server of ours: its address, its process, its folder, and what its page is made of."""

    url: str
    process: subprocess.Popen
    home: Path
    log: Path
    config: dict = field(default_factory=dict)

    def __post_init__(self):
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def component(self, elem_id: str) -> dict:
        """A component of the page by the id of its element."""
        return next(c for c in self.config["components"] if c["props"].get("elem_id") == elem_id)

    def function(self, elem_id: str, name: str, data: object, session: str = "tests") -> httpx.Response:
        """Call a widget's server function."""
        asked = {"component_id": self.component(elem_id)["id"], "fn_name": name, "session_hash": session, "data": data}
        return self.client.post("/gradio_api/component_server/", json=asked)

    def event(self, elem_id: str, event: str, *, sent: object = None, **values: object) -> httpx.Response:
        """Trigger an event of a component; `values` by the ids of elements stand in place of what the page shows."""
        target = [self.component(elem_id)["id"], event]
        found = next(d for d in self.config["dependencies"] if target in d["targets"])
        return self.client.post("/gradio_api/run/predict", json=self.asked(found, sent, **values))

    def asked(self, found: dict, sent: object = None, **values: object) -> dict:
        """What a page sends for an event."""
        shown = {c["id"]: c["props"].get("value") for c in self.config["components"]}
        shown |= {self.component(name)["id"]: value for name, value in values.items()}
        return {
            "data": [shown.get(place) for place in found["inputs"]],
            "event_data": sent,
            "fn_index": found["id"],
            "trigger_id": found["targets"][0][0] if found["targets"] else None,
            "session_hash": "tests",
        }

    def memory(self) -> int:
        """Bytes that the process holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(home: Path, **environment: str) -> Served:
    """Start app.py as a public host and wait until it serves."""
    home.mkdir(parents=True, exist_ok=True)
    log, port = home / "app.log", free_port()
    bare = {
        name: value for name, value in os.environ.items() if not name.startswith(("EXPLORER_", "GRADIO_", "SPACE_"))
    }
    env = {
        **bare,
        "EXPLORER_HOME": str(home),
        "EXPLORER_PUBLIC": "1",
        "EXPLORER_WEIGHTS": "",
        "TORCH_HOME": str(home / "torch"),
        "HF_HOME": str(home / "hf"),
        "GRADIO_TEMP_DIR": str(home / "uploads"),
        "GRADIO_SERVER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "https_proxy": NOBODY,
        "http_proxy": NOBODY,
        "no_proxy": "127.0.0.1",
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py")], cwd=ROOT, env=env, stdout=log.open("w"), stderr=subprocess.STDOUT
    )
    served = Served(f"http://127.0.0.1:{port}", process, home, log)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            served.client.get("/healthz")
            return served
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"The app did not start:\n{log.read_text()[-3000:]}")


def stop(served: Served) -> None:
    served.client.close()
    served.process.terminate()
    try:
        served.process.wait(20)
    except subprocess.TimeoutExpired:
        served.process.kill()
