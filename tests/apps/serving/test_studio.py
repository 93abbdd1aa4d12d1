"""Whom the studio remembers, and for how long; what its page shows is tested in a browser."""

from __future__ import annotations

from seqgpt_lab.apps.serving.studio import Visitors
from tests.apps.designer.conftest import KnownValues


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_visitor_who_was_away_for_an_hour_is_forgotten_and_one_who_was_not_is_known() -> None:
    clock = Clock()
    visitors = Visitors(KnownValues(), (), clock)
    for visitor in ("idle", "busy"):
        visitors.of(visitor).session.write(f"text of {visitor}")
    for _ in range(3):
        clock.now += 1790
        assert visitors.of("busy").session.design.text == "text of busy"
    assert list(visitors._known) == ["busy"]
    assert visitors.of("idle").session.design.text == ""


def test_of_more_than_200_visitors_the_one_who_was_away_longest_is_forgotten() -> None:
    visitors = Visitors(KnownValues(), (), Clock())
    for number in range(200):
        visitors.of(str(number)).session.write("text")
    visitors.of("0")
    visitors.of("new")
    assert visitors.of("0").session.design.text == "text" and visitors.of("1").session.design.text == ""
