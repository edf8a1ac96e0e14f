"""The app as strangers meet it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.open.served import Served, serve, stop


@pytest.fixture(scope="session")
def public(tmp_path_factory) -> Iterator[Served]:
    """One public app without limits of rate, for all tests that do not fill it."""
    served = serve(tmp_path_factory.mktemp("public"), EXPLORER_RATE="off")
    served.config = json.loads(served.client.get("/config").text)
    yield served
    stop(served)
