"""What kind of host this is, by its environment. The standard library alone, so every room may ask."""

from __future__ import annotations

import os
from pathlib import Path

ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
MOST_PROXIES = 10
PUBLIC_HOURS = 2.0


def on_space() -> bool:
    """Whether this is a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def is_public() -> bool:
    """Whether strangers may come: EXPLORER_PUBLIC where it says so, else whether this is a Space."""
    said = os.environ.get("EXPLORER_PUBLIC", "").strip().lower()
    if said not in (*ON, *OFF, ""):
        raise ValueError(f"EXPLORER_PUBLIC is 1 for a host that strangers may use, else 0, not {said!r}.")
    return said in ON if said else on_space()


def upload_hours() -> float | None:
    """How long pictures that somebody brought, and runs on them, are kept after their last use: EXPLORER_UPLOAD_HOURS;
    default 2 on a public host, else None, for ever."""
    usual = PUBLIC_HOURS if is_public() else None
    try:
        value = float(os.environ.get("EXPLORER_UPLOAD_HOURS") or 0)
    except ValueError:
        return usual
    return value if 0 < value < 1e6 else usual


def login() -> tuple[tuple[str, str], ...]:
    """Who may come in, as (user, password); nothing where everybody may.

    EXPLORER_LOGIN holds "user:password", several with commas between them, or the path of a file with one on each
    line. Raises ValueError, one sentence that holds no password.
    """
    text = os.environ.get("EXPLORER_LOGIN", "").strip()
    if not text:
        return ()
    if ":" in text:
        lines = text.split(",")
    else:
        try:
            lines = Path(text).expanduser().read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError("EXPLORER_LOGIN is user:password, or the path of a file with one on each line.") from error
    pairs = tuple(_pair(line, place) for place, line in enumerate(lines, 1) if line.strip())
    if not pairs:
        raise ValueError("EXPLORER_LOGIN names a file in which no user stands: write user:password on each line.")
    if len({user for user, _ in pairs}) < len(pairs):
        raise ValueError("EXPLORER_LOGIN names a user twice: each user has one password.")
    return pairs


def _pair(line: str, place: int) -> tuple[str, str]:
    user, _, password = (part.strip() for part in line.partition(":"))
    if not user or not password:
        raise ValueError(f"Entry {place} of EXPLORER_LOGIN is not user:password.")
    return user, password


def trusted_proxies() -> int:
    """How many proxies in front of the app are believed about who their visitor is: EXPLORER_TRUST_PROXY, else 1 on a
    Space and 0 elsewhere."""
    text = os.environ.get("EXPLORER_TRUST_PROXY", "").strip()
    if not text:
        return int(on_space())
    if not text.isdecimal() or int(text) > MOST_PROXIES:
        raise ValueError(f"EXPLORER_TRUST_PROXY is how many proxies stand in front of the app, 0 to {MOST_PROXIES}.")
    return int(text)


def rate_factor() -> float:
    """By how much the usual limits of requests are stretched: EXPLORER_RATE, 0 or "off" for none at all; by default 1
    on a public host, and none elsewhere."""
    text = os.environ.get("EXPLORER_RATE", "").strip().lower()
    if not text:
        return float(is_public())
    if text in OFF:
        return 0.0
    try:
        factor = float(text)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= 1e6:
        raise ValueError(f"EXPLORER_RATE stretches the limits of requests, such as 2, or is off, not {text!r}.")
    return factor
