"""Many people on one app, the load generator on the same machine: knobs while a run trains, viewers of a live run, a
long line, a full store, and the polling of hours. Limits are those of a classroom of thirty.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chromium import launch
from benchmarks.page import quantile, started
from explorer.jobs.record import spec_to_dict
from explorer.jobs.store import App, Store
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec
from explorer.train.events import EpochDone, Finished, Started, Step

PEOPLE = 30
KNOBS_A_SECOND = 10
WARM_UP = 4.0  # seconds in which all pages make their first event
POLL = 0.25  # seconds between two questions of a viewer
ME = "b" * 32
LONG = "?arch=squeezenet1_1&weights=random&size=64&epochs=200&batch_size=32&data_size=large"
SHORT = "?arch=squeezenet1_1&weights=random&size=32&epochs=1&batch_size=64"
IS_JSON = {"content-type": "application/json"}
READY = "html[data-opened] #tree tbody tr"


TO_ROWS = """async () => {
  const start = performance.now(), rows = () => document.querySelectorAll('.runs tbody tr[data-run]').length;
  [...document.querySelectorAll('#pages > .tab-wrapper button')].find(b => b.textContent.includes('Runs')).click();
  while (rows() < 60) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


@dataclass(frozen=True)
class Post:
    """A request that the page makes, to be made again: where to, and its JSON."""

    path: str
    body: dict

    def with_data(self, place: int, value: object, **more: object) -> dict:
        """Its JSON with one input changed."""
        data = [*self.body["data"]]
        data[place] = value
        return {**self.body, "data": data, **more}


def rows(quick: bool = False) -> Iterator[tuple[str, float, str, float, str]]:
    """(what, ours, peer, peer's, limit); milliseconds but where the words say otherwise."""
    from playwright.sync_api import sync_playwright

    seconds = 5 if quick else 20
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = launch(playwright)
        fill(Path(home), 1000)
        with started([sys.executable, "app.py"], home) as (url, pid):
            page = open_page(browser, url + LONG)
            knob, place = captured_knob(page)
            train = captured(page, lambda: page.click("#go"), lambda post: len(str(post["data"])) > 200)
            run = page.evaluate("new Promise(done => { const look = () => { const run = new URLSearchParams("
                                "location.hash.slice(1)).get('run'); run ? done(run) : setTimeout(look, 50); };"
                                " look(); })")  # fmt: skip
            poll = captured(page, lambda: None, lambda post: post.get("fn_name") == "poll")
            page.wait_for_function("document.querySelector('#run').innerText.includes('left')")
            page.close()
            took, lost = in_a_thread(turn_knobs(url, knob, place, seconds))
            many = f"{PEOPLE} people x {KNOBS_A_SECOND} knobs/s"
            yield f"load: {many} beside a run, p95", quantile(took, 0.95), "", 0, "<= 100"
            yield "load: last wishes that were not answered", lost, "", 0, "0"
            ages, missed = in_a_thread(watch(url, poll, run, seconds))
            seen = 1000 * quantile(ages, 0.95)
            yield f"load: {PEOPLE} viewers of a live run: age of a point, p95", seen, "", 0, "<= 1000"
            yield "load: points that a viewer missed", missed, "", 0, "0"
            look = looks(browser, url)
            yield "load: 1,000 stored runs listed (server's answer)", listed(url, look), "", 0, "<= 300"
            yield "load: 1,000 stored runs, from the tab to the rows", painted(browser, url), "", 0, "<= 300"
            in_a_thread(line_up(url, train, 200))
            waited = quantile(one_by_one(url, knob, place), 0.95)
            yield "load: a knob with 200 runs in line, p95", waited, "", 0, "<= 300"
            yield "load: the Runs page with 200 runs in line", listed(url, look), "", 0, "<= 300"
            count = 4_000 if quick else 100_000
            grown = in_a_thread(poll_on(url, poll, run, count, pid))
            yield f"load: memory after {count:,} polls, MB more", grown / 1e6, "", 0, "< 50"
        browser.close()


# ---- a store and an app ----


def fill(home: Path, count: int) -> None:
    """A store with so many runs of ME that have ended."""
    store, app = Store.at_home(home), App("bench", 1, "gone")
    for i in range(count):
        spec = ClassifierSpec(BodySpec(("resnet18", "resnet34")[i % 2]), HeadSpec(pool=("concat", "max")[i // 2 % 2]))
        run, train = f"stored{i:06}", TrainSpec(epochs=1, seed=i)
        store.add(run, ME, "classifier", spec_to_dict(spec), spec_to_dict(train), app, at_most=9)
        store.take_next("bench")
        store.append(run, Started(1, 2, 2, 64, 16, ("a", "b"), "cpu", 10**7, 10**5, "random"))
        for step in (1, 2):
            store.append(run, Step(step, 1.0 / step, 1e-3, 1.0 / step))
        store.append(run, EpochDone(1, 0.5, 0.6, (("accuracy", i % 97 / 97),), 2.0))
        store.append(run, Finished(2.0))
    store.close()


# ---- what a page asks, to be asked again ----


def open_page(browser, url: str):
    """A page of a new browser that is ready to be used."""
    page = browser.new_context().new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector(READY)
    page.wait_for_timeout(1500)
    return page


def captured(page, act: Callable[[], object], fits: Callable[[dict], bool]) -> Post:
    """The first request that fits, made after `act`."""

    def is_it(request) -> bool:
        try:
            return request.method == "POST" and "data" in request.post_data_json and fits(request.post_data_json)
        except (TypeError, ValueError):
            return False

    with page.expect_request(is_it) as found:
        act()
    path = "/" + found.value.url.split("/", 3)[3]
    return Post(path, found.value.post_data_json)


def captured_knob(page) -> tuple[Post, int]:
    """The event of the size slider, and which of its inputs is the size."""

    def slide(key: str) -> Post:
        page.focus("#size input[type=range]")
        return captured(page, lambda: page.keyboard.press(key), lambda post: len(post["data"]) > 10)

    first, second = slide("ArrowRight"), slide("ArrowLeft")
    pairs = enumerate(zip(first.body["data"], second.body["data"], strict=True))
    return first, next(i for i, (a, b) in pairs if a != b and isinstance(a, (int, float)))


def looks(browser, url: str) -> Post:
    """What the Runs page asks."""
    page = browser.new_context().new_page()
    post = captured(page, lambda: page.goto(f"{url}?open=runs"), lambda post: post.get("fn_name") == "runs_look")
    page.close()
    return post


# ---- the load ----


async def turn_knobs(url: str, knob: Post, place: int, seconds: float) -> tuple[list[float], int]:
    """Milliseconds of each answer, and how many people did not get one to their last wish.

    As in the page, a wish that comes while another is on its way waits, and only the last of those is asked.
    """
    took: list[float] = []
    sizes = [64 + 16 * i for i in range(20)]
    begin = time.perf_counter() + WARM_UP

    async def person(number: int, client: httpx.AsyncClient) -> bool:
        session, wanted, answered = secrets.token_hex(5), None, None
        bodies = {size: json.dumps(knob.with_data(place, size, session_hash=session)) for size in sizes}
        await client.post(
            knob.path, content=bodies[sizes[0]], headers=IS_JSON
        )  # a page's first event makes its session
        await asyncio.sleep(max(0.0, begin - time.perf_counter()))
        end = time.perf_counter() + seconds
        turn, due = number, time.perf_counter() + number / PEOPLE / KNOBS_A_SECOND
        while (now := time.perf_counter()) < end:
            if now < due:
                await asyncio.sleep(due - now)
            while due <= time.perf_counter():
                turn, due = turn + 1, due + 1 / KNOBS_A_SECOND
            wanted = sizes[(7 * turn) % len(sizes)]
            start = time.perf_counter()
            answer = await client.post(knob.path, content=bodies[wanted], headers=IS_JSON)
            took.append(1000 * (time.perf_counter() - start))
            answered = wanted if f'\\"size\\":{wanted},' in answer.text else None
        return answered == wanted

    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=PEOPLE)) as client:
        heard = await asyncio.gather(*(person(i, client) for i in range(PEOPLE)))
    return took, heard.count(False)


async def watch(url: str, poll: Post, run: str, seconds: float) -> tuple[list[float], int]:
    """Ages of all points when a viewer got them, in seconds, and how many steps a viewer did not get."""
    ages: list[float] = []

    async def viewer(client: httpx.AsyncClient) -> int:
        body = {**poll.body, "session_hash": secrets.token_hex(5)}
        first = (await client.post(poll.path, json={**body, "data": [run, 0]})).json()
        since = first["data"]["n"] if "data" in first else first["n"]
        steps: list[int] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            answer = (await client.post(poll.path, json={**body, "data": [run, since]})).json()
            answer = answer.get("data", answer)
            now = time.time()
            ages.extend(now - at for at in answer["times"])
            steps += [event["step"] for event in answer["events"] if event["event"] == "Step"]
            since = answer["next"]
            await asyncio.sleep(POLL)
        return steps[-1] - steps[0] + 1 - len(steps) if steps else 1

    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=PEOPLE)) as client:
        missed = await asyncio.gather(*(viewer(client) for _ in range(PEOPLE)))
    return ages, sum(missed)


async def line_up(url: str, train: Post, count: int) -> None:
    """Press Train so many times, every time as somebody else."""
    place = place_of_secret(train)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for _ in range(count):
            body = train.with_data(place, secrets.token_urlsafe(24), session_hash=secrets.token_hex(5))
            answer = await client.post(train.path, json=body)
            answer.raise_for_status()


def place_of_secret(train: Post) -> int:
    """Which of the inputs of the Train button is the browser's secret."""
    return next(i for i, value in enumerate(train.body["data"]) if isinstance(value, str) and len(value) == 32)


def one_by_one(url: str, knob: Post, place: int, times: int = 60) -> list[float]:
    """Milliseconds of a knob's event, one after the other."""
    took = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for i in range(times):
            start = time.perf_counter()
            client.post(knob.path, json=knob.with_data(place, 64 + 16 * (7 * i % 20))).raise_for_status()
            took.append(1000 * (time.perf_counter() - start))
    return took


def listed(url: str, look: Post, times: int = 15) -> float:
    """Milliseconds until all runs of ME are told, median."""
    asked = {**look.body["data"][0], "me": ME, "mark": ""}
    took = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for _ in range(times):
            start = time.perf_counter()
            answer = client.post(look.path, json={**look.body, "data": [asked]})
            took.append(1000 * (time.perf_counter() - start))
            if "1000 runs of yours" not in answer.text:
                raise RuntimeError(f"The list is not whole: {answer.text[:200]}")
    return statistics.median(took)


def painted(browser, url: str) -> float:
    """Milliseconds from a click on the tab to the rows, in a browser that holds the key of ME."""
    took = []
    for _ in range(5):
        page = browser.new_context().new_page()
        page.add_init_script(f"localStorage.setItem('explorer.me', '{ME}')")
        page.goto(url + SHORT)
        page.wait_for_selector(READY)
        page.wait_for_timeout(1000)
        took.append(page.evaluate(TO_ROWS))
        page.close()
    return statistics.median(took)


async def poll_on(url: str, poll: Post, run: str, count: int, pid: int) -> int:
    """Bytes by which the app's memory has grown after so many polls, those of many pages one after the other."""
    left = count

    async def pages(client: httpx.AsyncClient) -> None:
        nonlocal left
        body, since, asked = poll.body, 0, 0
        while left > 0:
            left, asked = left - 1, asked + 1
            if asked % 500 == 1:
                body, since = {**poll.body, "session_hash": secrets.token_hex(5)}, 0
            answer = (await client.post(poll.path, json={**body, "data": [run, since]})).json()
            since = answer.get("data", answer).get("next", 0)

    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=8)) as client:
        total, left = left, min(2000, count // 2)
        await asyncio.gather(*(pages(client) for _ in range(8)))
        before, left = resident(pid), total
        await asyncio.gather(*(pages(client) for _ in range(8)))
    return resident(pid) - before


def resident(pid: int) -> int:
    """Bytes of memory that a process holds (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_a_thread(work: Coroutine) -> Any:
    """The result of a coroutine, run beside Playwright's own loop."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, work).result()


if __name__ == "__main__":
    for row in rows(quick=True):
        print(json.dumps(row), flush=True)
