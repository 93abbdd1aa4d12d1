"""What the work through Ray Data asks of a cluster, told by a stand-in for Ray, which few machines have."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from seqgpt_lab.apps.options import ModelOptions
from seqgpt_lab.errors import OptionError

CLUSTER = "seqgpt_lab.apps.bulk.cluster"
asked: dict[str, Any] = {}


class Chunks:
    """Ray's data set: notes what an actor is given, and holds no rows."""

    def map_batches(self, worker: object, **named: Any) -> Chunks:
        asked.update(named)
        return self

    def iter_rows(self) -> Iterator[dict[str, str]]:
        return iter(())


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Iterator[Any]]]:
    """`work_through_ray` on a cluster of two machines, one of them with two cards."""
    ray, data, block = ModuleType("ray"), ModuleType("ray.data"), ModuleType("ray.data.block")
    vars(ray).update(init=lambda **_: None, shutdown=lambda: None, cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0})
    vars(ray).update(nodes=lambda: [{"Resources": {"CPU": 4.0, "GPU": 2.0}}, {"Resources": {"CPU": 4.0}}, {"Resources": {}}])
    context = SimpleNamespace(get_current=lambda: SimpleNamespace(execution_options=SimpleNamespace()))
    vars(data).update(Datasource=object, ReadTask=object, DataContext=context, read_datasource=lambda *_, **__: Chunks())
    vars(block).update(BlockMetadata=object)
    for module in (ray, data, block):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    before = sys.modules.pop(CLUSTER, None)
    yield importlib.import_module(CLUSTER).work_through_ray
    del sys.modules[CLUSTER]
    if before is not None:
        sys.modules[CLUSTER] = before


@pytest.mark.parametrize(
    ("device", "ranks", "wanted"),
    [("auto", 1, {"num_gpus": 1}), ("cuda", 2, {"num_gpus": 2}), ("cpu", 2, {"num_cpus": 2}), ("cpu", 8, {"num_cpus": 4})],
)
def test_each_rank_of_an_actor_has_a_card_or_a_core(
    work: Callable[..., Iterator[Any]], device: str, ranks: int, wanted: dict[str, int]
) -> None:
    """With one card for two ranks no engine would start: an actor sees none but those it is given. Ranks may share a core."""
    asked.clear()
    options = ModelOptions("tiny", "auto", device, "auto", 8, 512, 64, tensor_parallel=ranks, replicas=3)
    assert list(work(None, options, None)) == []
    assert {name: asked.get(name) for name in ("num_gpus", "num_cpus") if name in asked} == wanted and asked["concurrency"] == 3


def test_more_ranks_than_any_machine_has_cards_are_told_instead_of_waited_for(work: Callable[..., Iterator[Any]]) -> None:
    asked.clear()
    options = ModelOptions("tiny", "auto", "auto", "auto", 8, 512, 64, tensor_parallel=4)
    with pytest.raises(OptionError, match="tensor_parallel=4 needs 4 cards in one machine, those of this Ray cluster have 2 at most"):
        list(work(None, options, None))
    assert asked == {}
