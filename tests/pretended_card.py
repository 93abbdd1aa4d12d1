"""A card that is only pretended, for machines without one: whole runs on it compute what a CPU does, and what CUDA refuses is refused.

Fake tensors have no numbers, so that a loop that looks at its choices cannot run on them; these have. What torch does inside of its
operators, and of backward passes, is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

CARD = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_LOOKS = ("tolist", "item", "__bool__", "__int__", "__float__", "__index__", "nonzero", "unique", "masked_select", "equal")
_INDEXING = ("__getitem__", "__setitem__", "index_put_", "index_put")


class PretendedCard(TorchFunctionMode):
    """While it is entered, in this thread. waits: calls that wait until the card has done all it was told, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._held: dict[int, StorageWeakRef] = {}

    def holds(self, tensor: Tensor) -> bool:
        """Whether it lies on the card. A storage's address is not used again as long as a reference to it, even a weak one, is there."""
        found = self._held.get(tensor.untyped_storage()._cdata)
        return found is not None and not found.expired()

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        name = str(getattr(func, "__name__", func))
        if name == "__get__":
            return self._read(func, func.__self__.__name__, *args)
        if name in ("__set__", "_has_compatible_shallow_copy_type"):  # so a module puts its weights on a device
            return func(*args, **kwargs)
        if name in ("to", "cpu", "cuda"):
            return self._moved(func, name, args, kwargs)
        wanted = _device(kwargs.get("device"))
        if wanted is not None and wanted.type == "cuda":
            return self._put(func(*args, **kwargs | {"device": _CPU}))
        return self._computed(func, name, args, kwargs)

    def _read(self, func: Callable[..., Any], what: str, owner: Any, *rest: Any) -> Any:
        found = func(owner, *rest)
        if not isinstance(owner, Tensor) or not self.holds(owner):
            return found
        if what == "grad" and found is not None:
            self._put(found)  # made by the backward pass
        return {"device": CARD, "is_cuda": True, "is_cpu": False}.get(what, found)

    def _moved(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensor, *rest = args
        devices = [each.device if isinstance(each, Tensor) else _device(each) for each in (*rest, *kwargs.values())]
        target = {"cpu": _CPU, "cuda": CARD}.get(name) or next((each for each in devices if each is not None), None)
        here = self.holds(tensor)
        there = here if target is None else target.type == "cuda"
        rest = [_CPU if _device(each) else each for each in rest]
        found = (
            tensor if name in ("cpu", "cuda") else func(tensor, *rest, **{key: _CPU if _device(it) else it for key, it in kwargs.items()})
        )
        if here != there:
            self.waits.update(["to the CPU"] if here else [])
            found = found.clone() if found.untyped_storage()._cdata == tensor.untyped_storage()._cdata else found
        return self._put(found) if there else found

    def _computed(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        held = [each for each in tensors if self.holds(each)]
        if not held:
            return func(*args, **kwargs)
        elsewhere = [each for each in tensors if each.dim() and not self.holds(each)]
        if name == "copy_" and elsewhere:
            self.waits["copy_"] += 1
            return func(*args, **kwargs)
        if elsewhere and not (name in _INDEXING and self.holds(args[0])):
            shapes = [tuple(each.shape) for each in elsewhere]
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got {shapes} on the CPU beside the card's")
        if name == "numpy":
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
        if name in _LOOKS or elsewhere or (name in _INDEXING and any(each.dtype == torch.bool for each in tensors[1:])):
            self.waits[name] += 1
        return self._put(func(*args, **kwargs))

    def _put(self, found: Any) -> Any:
        """What was computed on the card, or made there, is there."""
        for each in tree_leaves(found):
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                self._held.setdefault(storage._cdata, StorageWeakRef(storage))
        return found


def _device(found: object) -> torch.device | None:
    """The device that an argument names, if it names one."""
    if isinstance(found, torch.device):
        return found
    return torch.device(found) if isinstance(found, str) else None
