"""How often a visitor may ask: buckets of tokens that fill with time, in a table that does not grow."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MOST_VISITORS = 4096
EVERYBODY = ""  # the visitor whose buckets all share


@dataclass(frozen=True)
class Rate:
    """How much one visitor may ask for: `burst` at once, and `each_second` of it comes back."""

    burst: float
    each_second: float


@dataclass
class Bucket:
    """What is left of a burst, and when that was counted."""

    left: float
    at: float


class Rates:
    """Buckets by kind of request and visitor; whoever was here longest ago is forgotten first, so the table is bounded.

    factor  stretches all rates; 0 lets everything through
    """

    def __init__(self, rates: Mapping[str, Rate], factor: float, clock: Callable[[], float] = time.monotonic):
        self._rates, self._factor, self._clock = rates, factor, clock
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, kind: str, visitor: str, cost: float = 1.0) -> float:
        """Take `cost` tokens; 0.0 where they were there, else in how many seconds they will be, and none is taken."""
        if not self._factor or kind not in self._rates:
            return 0.0
        rate, now = self._rates[kind], self._clock()
        burst, each_second = rate.burst * self._factor, rate.each_second * self._factor
        bucket = self._buckets.setdefault((kind, visitor), Bucket(burst, now))
        self._buckets.move_to_end((kind, visitor))
        while len(self._buckets) > MOST_VISITORS:
            self._buckets.popitem(last=False)
        bucket.left, bucket.at = min(burst, bucket.left + (now - bucket.at) * each_second), now
        if bucket.left >= min(cost, burst):
            bucket.left -= cost
            return 0.0
        return (min(cost, burst) - bucket.left) / each_second


def visitor_of(peer: str, forwarded: str, proxies: int) -> str:
    """Who asks: the address of the connection, or where proxies are believed, what the outermost of them saw.

    forwarded  the X-Forwarded-For header: each proxy adds at its right end who asked it, so that what a visitor makes
               up stands further left than what is read

    An IPv6 visitor has a whole /64 network.
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    address = hops[-proxies] if 0 < proxies <= len(hops) else peer
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return peer
    if isinstance(known, ipaddress.IPv6Address):
        mapped = known.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)
