"""The same work on many machines through Ray Data: one reader, an extractor an actor, chunks back in their order. Needs ray[data]."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from seqgpt_lab.apps.bulk.job import Done, Plan, extract_chunk
from seqgpt_lab.apps.bulk.sources import Item
from seqgpt_lab.apps.options import ModelOptions
from seqgpt_lab.documents.utf8 import json_line
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.labels import LabelSet

if TYPE_CHECKING:
    import pyarrow


class _Chunks(Datasource):
    """A plan's chunks as rows of one column, read by one task, so that they keep their order and are never in memory all at once."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_limits: Any, **_more: Any) -> list[ReadTask]:
        return [ReadTask(self._tables, BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None))]

    def _tables(self) -> Iterator[pyarrow.Table]:
        import pyarrow  # comes with ray[data]; asked for first, it would name an extra that brings no ray

        for chunk in self._plan.chunks():
            yield pyarrow.table({"chunk": [json_line([asdict(item) for item in chunk])]})


class _Worker:
    """An actor: one loaded model."""

    def __init__(self, labels: LabelSet, options: ModelOptions) -> None:
        self._labels = labels
        self._loaded = ExitStack()
        _, self._extractor = self._loaded.enter_context(options.load())

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        chunks = [[Item(**item) for item in json.loads(chunk)] for chunk in batch["chunk"]]
        return {"done": [json_line(asdict(extract_chunk(self._extractor, self._labels, chunk))) for chunk in chunks]}


def _of_an_actor(kind: str, ranks: int, machines: list[dict[str, Any]]) -> dict[str, int]:
    """The cards (GPU), of which an actor sees no others, or cores (CPU) to ask for; for more than any machine has, Ray waits for ever."""
    most = max((int(machine["Resources"].get(kind, 0)) for machine in machines), default=0)
    if kind == "GPU" and ranks > most:
        raise OptionError(
            f"tensor_parallel={ranks} needs {ranks} cards in one machine, those of this Ray cluster have {most} at most; give at most "
            f"--tensor-parallel {most}, or --device cpu"
        )
    return {f"num_{kind.lower()}s": min(ranks, max(1, most))}


def work_through_ray(labels: LabelSet, options: ModelOptions, plan: Plan) -> Iterator[Done]:
    """The chunks of a plan by as many actors as `options.replicas`, on the cluster that RAY_ADDRESS names, or on this machine.

    All machines must see the input and the model under the same paths. Each rank of an actor takes a card to itself, or a core where its
    machine has as many. Raises OptionError where no machine has a card for each rank.
    """
    import ray
    from ray.data import DataContext, read_datasource

    actors, each = options.replicas, replace(options, replicas=1)
    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        context = DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        cards = ray.cluster_resources().get("GPU") and options.device != "cpu"
        resources = _of_an_actor("GPU" if cards else "CPU", options.tensor_parallel, ray.nodes())
        chunks = read_datasource(_Chunks(plan), override_num_blocks=1, num_cpus=0)
        done = chunks.map_batches(
            _Worker, batch_size=1, concurrency=actors, fn_constructor_args=(labels, each), batch_format="numpy", **resources
        )
        for row in done.iter_rows():
            yield Done(**json.loads(row["done"]))
    finally:
        ray.shutdown()
