"""What the operating system knows about processes: is that one still there, how did it end, does it die with us."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def birth_mark(pid: int) -> str:
    """What tells a process from a later one of the same number: when it began; "" where there is no such process."""
    if Path("/proc/self/stat").exists():
        return _linux_birth_mark(pid)
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    stat, _, began = found.stdout.strip().partition(" ")
    return "" if stat.startswith("Z") else began.strip()


def _linux_birth_mark(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    start_ticks = rest[18]
    return "" if state in "ZX" else f"{boot}:{start_ticks}"


def is_alive(pid: int | None, mark: str | None) -> bool:
    """Is this the process that had this birth mark, and does it still run?"""
    return bool(pid and mark) and birth_mark(pid) == mark


def die_with(parent: int) -> None:
    """End this process as soon as `parent` ends, by whatever death.

    On Linux the kernel sends SIGKILL when the *thread* that started this process ends, so that thread must live as
    long as the app. Elsewhere a thread looks twice a second whether the parent is still the same.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=watch_parent, args=(parent,), name="parent watch", daemon=True).start()


def watch_parent(parent: int, every: float = 0.5) -> None:
    """Return never; end this process when its parent is no longer `parent`."""
    while os.getppid() == parent:
        time.sleep(every)
    os._exit(1)


def step_back(by: int = 10) -> None:
    """Let others go first where processors are short: the page is answered before a batch is trained."""
    if hasattr(os, "nice"):
        os.nice(by)


def kill_group(pid: int) -> None:
    """SIGKILL for a process that leads its own session, and for all it started; nothing where it is gone."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def describe_exit(code: int, last_line: str) -> str:
    """One sentence on why a process ended; `code` as subprocess gives it, negative for a signal."""
    if code == -signal.SIGKILL:
        return (
            "The training process was killed (signal 9); most often the machine ran out of memory: "
            "try a smaller batch or image size."
        )
    if code == 0:
        return "The training process ended without a result: the log in the run's folder may say more."
    how = f"was ended by signal {-code} ({signal_name(-code)})" if code < 0 else f"ended with exit code {code}"
    return f"The training process {how}: {last_line or 'it left no word'}."


def signal_name(number: int) -> str:
    """SIGSEGV for 11; "unknown" for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def last_line(log: Path, longest: int = 300) -> str:
    """The last printable line of a log without its full stop, or "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")[:longest].rstrip(".")


def usable_cores() -> int:
    """Cores this process may use: those it is bound to, and no more than its container's share, at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, math.ceil(container_cores())))


def container_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """The container's share of processor time in cores (cgroup v2), a very large number where none is set."""
    try:
        quota, period = limit.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return float(2**20)
