"""Weights are fetched in the background, once, and what failed may be tried again."""

from __future__ import annotations

import threading
from pathlib import Path

from explorer.ui.weights_desk import WeightsDesk


def test_a_file_at_hand_is_ready_at_once():
    desk = WeightsDesk(lambda arch, progress: Path(f"{arch}.pth"))
    assert desk.ask("resnet18", wait=5).state == "ready"
    assert desk.ask("resnet18").state == "ready"


def test_asking_does_not_wait_and_tells_how_far_it_is():
    go, told = threading.Event(), threading.Event()

    def slow(arch, progress):
        progress(54, 87)
        told.set()
        go.wait(10)
        return Path("w.pth")

    desk = WeightsDesk(slow)
    assert desk.ask("resnet34").state == "fetching"
    assert told.wait(5)
    now = desk.ask("resnet34")
    assert (now.state, now.done, now.total) == ("fetching", 54, 87)
    go.set()


def test_many_who_ask_start_one_download():
    calls = []
    desk = WeightsDesk(lambda arch, progress: calls.append(arch) or Path("w"))
    threads = [threading.Thread(target=desk.ask, args=("alexnet",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    desk.ask("alexnet", wait=5)
    assert calls == ["alexnet"]


def test_what_was_missing_is_asked_for_again_only_after_a_wish():
    answers = [OSError("no network here."), None]

    def fetch(arch, progress):
        answer = answers.pop(0)
        if answer:
            raise answer
        return Path("w")

    desk = WeightsDesk(fetch)
    assert desk.ask("vgg11_bn", wait=5).reason == "no network here."
    assert desk.ask("vgg11_bn", wait=5).state == "missing"
    desk.forget_missing()
    assert desk.ask("vgg11_bn", wait=5).state == "ready"
