"""A card that is only timed: what fake CUDA tensors would take on it, operation by operation; computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

BANDWIDTH, FLOPS = 4e12, 7e14  # bytes and operations a second, as those of an H200
START = 6e-6  # seconds that a processor takes to start an operation, however little there is to do
WAIT = 1e-5  # and to learn that the last one is done
# In inference mode these come whole, and not as what they are made of; attention is one operation on a card too.
_MADE_OF_OTHERS = {torch.ops.aten.linear.default, torch.ops.aten.matmul.default}
_COUNTS = flop_registry | {
    torch.ops.aten.scaled_dot_product_attention: lambda query, key, value, *_, out_val, **__: 4 * query.numel() * key.shape[-2]
}


class Clock(TorchDispatchMode):
    """Adds up seconds: each operation reads and computes at once, and takes no less than starting it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = WAIT

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if operation in _MADE_OF_OTHERS:
            with self:
                return operation.decompose(*args, **(kwargs or {}))
        found = operation(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, found)) if isinstance(one, Tensor)]
        if not operation.is_view and any(one.device.type == "cuda" for one in tensors):
            bytes_moved = sum(min(one.nbytes, one.untyped_storage().nbytes()) for one in {id(one): one for one in tensors}.values())
            count = _COUNTS.get(operation.overloadpacket)
            computed = count(*args, **(kwargs or {}), out_val=found) if count else 0
            self.seconds += max(START, bytes_moved / BANDWIDTH, computed / FLOPS)
        return found


def seconds_of(work: Callable[[], object], *_: object, **__: object) -> float:
    """In place of what measures seconds: what the work takes on the card."""
    with Clock() as clock:
        work()
    return clock.seconds


def _moved(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """In place of Module.to, which swaps tensors, and fake ones cannot be swapped."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            part._parameters[name] = nn.Parameter(torch.empty(weight.shape, dtype=dtype, device=device), requires_grad=False)
        for name, buffer in list(part.named_buffers(recurse=False)):
            part._buffers[name] = torch.empty(buffer.shape, dtype=dtype, device=device)
    return module


@contextmanager
def simulated_card(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """One card; tensors on `cuda:0` are shapes."""
    patch.setattr(torch.cuda, "device_count", lambda: 1)
    patch.setattr(nn.Module, "to", _moved)
    with FakeTensorMode():
        yield
