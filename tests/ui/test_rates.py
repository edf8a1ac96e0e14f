"""How often a visitor may ask."""

from explorer.ui import rates
from explorer.ui.rates import Rate, Rates, visitor_of


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_passes_then_as_much_as_comes_back():
    clock = Clock()
    limits = Rates({"event": Rate(3, 2)}, 1, clock)
    assert [limits.wait("event", "a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now = 0.5
    assert limits.wait("event", "a") == 0
    assert limits.wait("event", "a") > 0


def test_visitors_and_kinds_do_not_share():
    limits = Rates({"event": Rate(1, 1), "page": Rate(1, 1)}, 1, Clock())
    assert limits.wait("event", "a") == 0
    assert limits.wait("event", "b") == limits.wait("page", "a") == 0
    assert limits.wait("event", "a") > 0


def test_what_is_larger_than_the_burst_takes_the_whole_of_it_and_is_paid_back():
    clock = Clock()
    limits = Rates({"bytes": Rate(100, 10)}, 1, clock)
    assert limits.wait("bytes", "a", 300) == 0
    assert limits.wait("bytes", "a", 1) > 20


def test_a_factor_stretches_and_none_lets_everything_through():
    assert [Rates({"event": Rate(1, 1)}, 2, Clock()).wait("event", "a") for _ in range(2)] == [0, 0]
    limits = Rates({"event": Rate(1, 1)}, 0, Clock())
    assert not any(limits.wait("event", "a") for _ in range(100))
    assert len(limits) == 0


def test_the_table_of_visitors_does_not_grow(monkeypatch):
    monkeypatch.setattr(rates, "MOST_VISITORS", 10)
    limits = Rates({"event": Rate(1, 1)}, 1, Clock())
    for visitor in range(100):
        limits.wait("event", str(visitor))
    assert len(limits) == 10
    assert limits.wait("event", "99") > 0


def test_only_what_trusted_proxies_have_seen_is_believed():
    assert visitor_of("10.0.0.1", "1.2.3.4, 5.6.7.8", 0) == "10.0.0.1"
    assert visitor_of("10.0.0.1", "1.2.3.4, 5.6.7.8", 1) == "5.6.7.8"
    assert visitor_of("10.0.0.1", "1.2.3.4, 5.6.7.8, 10.0.0.2", 2) == "5.6.7.8"
    assert visitor_of("10.0.0.1", "", 1) == "10.0.0.1"
    assert visitor_of("10.0.0.1", "made up", 1) == "10.0.0.1"


def test_a_network_of_ipv6_is_one_visitor():
    assert visitor_of("2001:db8:1:2::7", "", 0) == visitor_of("2001:db8:1:2:ffff::9", "", 0) == "2001:db8:1:2::/64"
    assert visitor_of("::ffff:1.2.3.4", "", 0) == "1.2.3.4"
