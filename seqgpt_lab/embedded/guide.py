"""The losses that tell the model where to look, beside the loss of its answer; knows batches, not where their marks come from.

An answer's loss says that a token is wrong, not where to look. Two further losses say where: one attention head is asked to look
at the copied token, and a linear probe under the last layer to name each text token's field. Neither changes the model's
shape; the probe is thrown away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgpt_lab.embedded.guidance import Roles
from seqgpt_lab.embedded.packed_attention import packed_bias_of
from seqgpt_lab.embedded.packing import Batch


class Guide(nn.Module):
    """The two further losses. head: index of the guided attention head in the last layer."""

    def __init__(self, hidden_size: int, roles: Roles, head: int) -> None:
        super().__init__()
        self.probe = nn.Linear(hidden_size, roles.count)
        self.head = head

    def forward(self, batch: Batch, below: Tensor, query: Tensor, key: Tensor, slopes: Tensor) -> Tensor:
        """below [B, T, C] enters the last layer; query, key [B, T, H, D] are the last layer's, slopes [H] all layers'."""
        loss = self.source_loss(batch, query[:, :, self.head], key[:, :, self.head], slopes[self.head])
        named = batch.roles >= 0
        if named.any():
            loss = loss + functional.cross_entropy(self.probe(below[named]).float(), batch.roles[named])
        return loss

    @staticmethod
    def source_loss(batch: Batch, query: Tensor, key: Tensor, slope: Tensor) -> Tensor:
        """Mean of -log(attention on the copied tokens) over the tokens that copy. query, key [B, T, D], slope [] of one head."""
        row, at, source = batch.sources.unbind(1)
        if not len(row):
            return query.new_zeros(())
        copies, which = torch.unique(row * query.shape[1] + at, return_inverse=True)  # N tokens that copy, each once
        of_row, of_token = copies // query.shape[1], copies % query.shape[1]
        scores = (query @ key.mT)[of_row, of_token].float() / query.shape[-1] ** 0.5  # [N, T]
        weights = torch.log_softmax(scores + packed_bias_of(batch, of_row, of_token, slope), dim=-1)
        wanted = torch.zeros_like(weights, dtype=torch.bool)
        wanted[which, source] = True
        return -torch.logsumexp(weights.masked_fill(~wanted, -torch.inf), dim=-1).mean()
