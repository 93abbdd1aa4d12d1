"""Which device and how many threads each worker gets, and which world sizes work; starts nothing."""

from __future__ import annotations

import torch

from seqgpt_lab.engine.config import ModelConfig, check_whole
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.errors import OptionError
from seqgpt_lab.machine import processors

MOST_WORKERS = 64
"""More than any machine this is for has cards; each is a process of some hundred MB."""


def check_counts(tensor_parallel: int, replicas: int) -> None:
    """Raises OptionError for what is no whole number, for counts below 1, and for more than MOST_WORKERS workers together."""
    check_whole({"tensor_parallel": tensor_parallel, "replicas": replicas})
    if tensor_parallel < 1 or replicas < 1:
        raise OptionError(f"tensor_parallel {tensor_parallel} and replicas {replicas} must both be at least 1")
    if (workers := tensor_parallel * replicas) > MOST_WORKERS:
        raise OptionError(
            f"tensor_parallel={tensor_parallel} times replicas={replicas} makes {workers} worker processes; give at most {MOST_WORKERS}"
        )


def check_world_size(world_size: int, config: ModelConfig) -> None:
    """Raises OptionError, naming the sizes that work, when the heads cannot be shared or a rank would get no vocabulary."""
    works = [size for size in range(1, config.heads + 1) if config.heads % size == 0 and Shard(size - 1, size).block(config.vocab_size)]
    if world_size not in works:
        raise OptionError(
            f"tensor_parallel={world_size} cannot share out {config.heads} attention heads and a vocabulary of {config.vocab_size}; "
            f"sizes that work: {', '.join(map(str, works))}"
        )


def place(tensor_parallel: int, replicas: int, device: torch.device) -> list[list[str]]:
    """Device names by replica and rank: all on the CPU, or a card each. Raises OptionError when there are too few cards.

    device: as resolve_device gives it; one card by its number cannot hold several workers.
    """
    if device.type == "cpu":
        return [["cpu"] * tensor_parallel for _ in range(replicas)]
    wanted, cards = tensor_parallel * replicas, torch.cuda.device_count()
    if str(device) != "cuda":
        raise OptionError(
            f"{wanted} workers need a card each, device={str(device)!r} names one; use device='cuda' (CUDA_VISIBLE_DEVICES chooses cards)"
        )
    if wanted > cards:
        raise OptionError(
            f"tensor_parallel={tensor_parallel} times replicas={replicas} needs {wanted} CUDA devices, this machine shows {cards}; "
            f"products up to {cards} work, or use device='cpu'"
        )
    return [[f"cuda:{replica * tensor_parallel + rank}" for rank in range(tensor_parallel)] for replica in range(replicas)]


def threads_each(workers: int) -> int:
    """This process's processors shared out, at least one thread a worker; never more than torch would use here by itself."""
    return max(1, min(processors() // workers, torch.get_num_threads()))
