"""The embedded model under load from a process of its own: nothing is lost, answers are the library's, memory stays flat."""

from __future__ import annotations

import pytest

from tests.apps.serving.conftest import free_port
from tests.apps.serving.measure_load import measure


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_two_thousand_requests_of_64_clients(record_property: pytest.RecordProperty) -> None:
    found = measure("tiny", "fp32", 64, 2000, free_port())
    record_property("load", found)
    assert (found["lost"], found["differ"], found["busy"]) == (0, 0, 0), found
    # What is kept of texts is full after a third of them; then nothing is left to grow.
    memory = found["memory"]
    assert memory[-1] - memory[4] < 100, f"MiB after each tenth of the time: {memory}"
    assert found["ratio"] > 0.5, "far from the offline rate, even for a busy machine"
