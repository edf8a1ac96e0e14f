"""Stand-ins for `train.learner.fit`, without torch, for the worker processes of these tests."""

from __future__ import annotations

import os
import signal
import sys
import time

from explorer.files import write_whole
from explorer.train.events import EpochDone, Failed, Finished, Note, Paused, Resumed, Started, Step, Stopped

LONGEST_BATCH = 300  # seconds: longer than any test waits


def started(epochs: int = 2, steps_per_epoch: int = 3) -> Started:
    return Started(epochs, steps_per_epoch, epochs * steps_per_epoch, 96, 24, ("a", "b"), "cpu", 1000, 10, "random")


def epoch_done(epoch: int) -> EpochDone:
    return EpochDone(epoch, 1.0 / epoch, 1.1 / epoch, (("accuracy", 0.5),), 0.01)


def short(spec, train, *, stop, weights_out, look, **more):
    yield Note("Random weights.", "warning")
    yield started(train.epochs, 3)
    for epoch in range(1, train.epochs + 1):
        for batch in range(1, 4):
            step = (epoch - 1) * 3 + batch
            yield Step(step, 1.0 / step, 1e-3, 1.0 / step)
        (weights_out / "last.safetensors").write_text(f"epoch {epoch}")
        yield epoch_done(epoch)
    yield Finished(0.1)


def steady(spec, train, *, stop, weights_out, look, **more):
    """Steps, epochs and files without a pause, until somebody ends it."""
    yield started(10**6, 5)
    for epoch in range(1, 10**6):
        for step in range(1, 6):
            yield Step(5 * (epoch - 1) + step, 1.0, 1e-3, 1.0)
        write_whole(weights_out / "last.safetensors", lambda path, epoch=epoch: path.write_text(f"{epoch} " * 20_000))
        yield epoch_done(epoch)


def polite(spec, train, *, stop, weights_out, look, **more):
    yield started()
    yield epoch_done(1)
    while not stop():
        time.sleep(0.01)
    yield Stopped(1)


def long_batch(spec, train, *, stop, weights_out, look, **more):
    yield started()
    yield epoch_done(1)
    yield Step(4, 0.5, 1e-3, 0.5)
    time.sleep(LONGEST_BATCH)
    yield Finished()


def gated(spec, train, *, stop, weights_out, look, **more):
    yield started()
    while not (weights_out.parent / "go").exists():
        time.sleep(0.01)
    yield Finished()


def thousand_steps(spec, train, *, stop, weights_out, look, **more):
    yield started(1, 1000)
    for step in range(1, 1001):
        yield Step(step, 1.0, 1e-3, 1.0)
        time.sleep(0.0005)
    yield Finished()


def not_finite(spec, train, *, stop, weights_out, look, **more):
    yield Step(1, float("nan"), float("inf"), 1.0)
    yield Failed("The loss is not finite in epoch 1, batch 1.")


def teaches(spec, train, *, stop, weights_out, look, **more):
    yield epoch_done(1)
    raise ValueError("The image size 16 is too small for layer4: 64 would do.")


def breaks(spec, train, *, stop, weights_out, look, **more):
    yield started()
    raise RuntimeError("mat1 and mat2 shapes\ncannot be multiplied")


def out_of_memory(spec, train, *, stop, weights_out, look, **more):
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
    yield


def speaks_garbage(spec, train, *, stop, weights_out, look, **more):
    yield started()
    sys.stdout.buffer.write(b"\x00\xff\xfe{]\n" * 5000)
    sys.stdout.flush()
    print("malloc(): corrupted top size\x1b[0m.", file=sys.stderr)
    os._exit(3)


def exits_quietly(spec, train, *, stop, weights_out, look, **more):
    yield started()
    os._exit(0)


def forgets_its_end(spec, train, *, stop, weights_out, look, **more):
    yield started()


def goes_on_after_its_end(spec, train, *, stop, weights_out, look, **more):
    yield Finished()
    yield Step(1, 1.0, 1e-3)


def tells_threads(spec, train, *, stop, weights_out, look, **more):
    yield Note(os.environ["OMP_NUM_THREADS"])
    yield Finished()


def looks_inside(spec, train, *, stop, weights_out, look, **more):
    import torch

    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 6, 3), torch.nn.ReLU())
    head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6 * 16, 5), torch.nn.ReLU())
    yield look(torch.nn.Sequential(body, head), torch.rand(2, 3, 8, 8), 4)
    yield Finished()


def tells_its_orders(spec, train, *, stop, weights_out, look, **more):
    yield Note(repr((spec, train)))
    yield Finished()


def disk_full(spec, train, *, stop, weights_out, look, **more):
    yield started()
    yield epoch_done(1)
    raise OSError(28, "No space left on device", str(weights_out / "last.safetensors"))


def pauses(spec, train, *, stop, pause, weights_out, look, resume):
    """Epochs of three steps; the state that a pause leaves is the number of the epoch."""
    kept = weights_out / "epoch.txt"
    begin = int(kept.read_text()) if resume else 0
    yield Resumed(begin) if resume else started(train.epochs, 3)
    for epoch in range(begin + 1, train.epochs + 1):
        for step in range(3 * epoch - 2, 3 * epoch + 1):
            time.sleep(0.02)
            yield Step(step, 1.0 / step, 1e-3, 1.0 / step)
            if stop():
                yield Stopped(epoch - 1)
                return
        yield epoch_done(epoch)
        if epoch < train.epochs and pause():
            kept.write_text(str(epoch))
            yield Paused(epoch)
            return
    yield Finished(0.1)


def keeps_weights(spec, train, *, stop, weights_out, look, **more):
    """Tells with which weights it began."""
    start = weights_out / "start.safetensors"
    yield Note(start.read_text() if start.exists() else "nothing")
    (weights_out / "last.safetensors").write_text(f"{weights_out.name}")
    (weights_out / "spec.json").write_text("{}")
    yield started(1, 3)
    yield epoch_done(1)
    yield Finished(0.1)


def paced(spec, train, *, stop, weights_out, look, **more):
    """Epochs of five steps, each a twentieth of a second; losses by the seed, as a true run's are."""
    yield Note("Random weights.")
    yield started(train.epochs, 5)
    for epoch in range(1, train.epochs + 1):
        for step in range(5 * epoch - 4, 5 * epoch + 1):
            time.sleep(0.05)
            yield Step(step, (train.seed + 1) / step, 1e-3, 1.0 / step)
            if stop():
                yield Stopped(epoch - 1)
                return
        write_whole(weights_out / "last.safetensors", lambda path, epoch=epoch: path.write_text(f"epoch {epoch}"))
        yield EpochDone(epoch, 1.0 / epoch, (train.seed + 1) / epoch, (("accuracy", 0.1 * train.seed),), 0.01)
    yield Finished(0.1)


def tells_process(spec, train, *, stop, weights_out, look, **more):
    yield Note(str(os.getpid()))
    yield Finished()


def kills_its_parent(spec, train, *, stop, weights_out, look, **more):
    """Takes the machine away, as far as an actor on it can tell."""
    yield started()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LONGEST_BATCH)
