"""Muon: momentum whose update is orthogonalised, in the dtype that the device multiplies fast; torch's own always takes bfloat16."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Coefficients of the quintic Newton-Schulz iteration of Jordan et al. 2024, chosen for steepest slope at zero.
_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.Optimizer):
    """Muon for 2-D weights. lr is in units of an orthogonal update, scaled by sqrt(max(1, rows / columns)).

    dtype: of the products. bfloat16 is enough, but emulated on a CPU without it, where one step took 9.7 s instead of 0.2.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], lr: float, dtype: torch.dtype, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        self.dtype = dtype
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            updates = [self._nesterov(weight, group["momentum"]) for weight in weights]
            for shape in sorted({tuple(weight.shape) for weight in weights}):
                alike = [index for index, weight in enumerate(weights) if tuple(weight.shape) == shape]
                # One batched product for all layers' matrices of a shape.
                square = orthogonalise(torch.stack([updates[index] for index in alike]).to(self.dtype))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for index, update in zip(alike, square, strict=True):
                    weights[index].mul_(1 - group["lr"] * group["weight_decay"]).add_(update.float(), alpha=-group["lr"] * scale)

    def _nesterov(self, weight: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        average: Tensor = state["momentum"]
        assert weight.grad is not None
        average.lerp_(weight.grad, 1 - momentum)
        update: Tensor = weight.grad.lerp(average, momentum)
        return update


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices [N, rows, columns] -> the same singular vectors with every singular value near 1 (0.7 to 1.2)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result
