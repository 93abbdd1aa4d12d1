"""Batches that do not fit into a worker's memory, which a real limit on its address space brings about."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import CapacityError, EngineWarning


@pytest.fixture(scope="module")
def roomy(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Request]:
    """A checkpoint that ends its answer to a request at once, and that request: with room for 80,000 tokens, 61 MB of cache."""
    directory = tmp_path_factory.mktemp("roomy")
    for path in checkpoint.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    prompt = (7, 8, 9)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        config["eos_token_id"] = engine.generate([Request(prompt, 1)])[0].token_ids[0]
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory, Request(prompt, 80_000)


def test_a_batch_too_large_for_memory_is_halved_and_the_user_is_told(roomy: tuple[Path, Request]) -> None:
    directory, request = roomy
    with Engine.load(directory, dtype="fp32", device="cpu", replicas=2) as engine:
        processes = [psutil.Process(worker.pid) for worker in engine.workers]
        for process in processes:
            room = process.memory_info().vms + 340_000_000  # for 4 rows, not for 8, whatever malloc has in reserve
            process.rlimit(psutil.RLIMIT_AS, (room, room))
        with pytest.warns(EngineWarning, match=r"a batch of 8 prompts ran out of memory on replica \d and was decoded as 4 \+ 4"):
            completions = engine.generate([request] * 16)
        assert [completion.finish_reason for completion in completions] == ["stop"] * 16
        assert [worker.pid for worker in engine.workers] == [process.pid for process in processes]
        with pytest.raises(CapacityError, match="one request with a prompt of 3 tokens and room for 1200000 new ones"):
            engine.generate([Request(request.prompt_ids, 1_200_000)])
        assert len(engine.generate([request])) == 1


def test_ranks_that_ran_out_of_memory_start_again_and_halve_the_batch(roomy: tuple[Path, Request]) -> None:
    """The limit goes with the processes it was put on; what counts is that no rank is left waiting for the other."""
    directory, request = roomy
    with Engine.load(directory, dtype="fp32", device="cpu", tensor_parallel=2) as engine:
        process = psutil.Process(engine.workers[1].pid)
        room = process.memory_info().vms + 100_000_000
        process.rlimit(psutil.RLIMIT_AS, (room, room))
        with pytest.warns(
            EngineWarning, match=r"a batch of 8 prompts ran out of memory on replica 0 \(2 ranks\) and was decoded as 4 \+ 4"
        ):
            completions = engine.generate([request] * 8)
        assert [completion.finish_reason for completion in completions] == ["stop"] * 8
        assert process.pid not in {worker.pid for worker in engine.workers}
