from __future__ import annotations

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.kv_cache import KVCache


def filled(rows: int = 4, slots: int = 7) -> KVCache:
    """Two layers of 3 heads of 5, every number different."""
    cache = KVCache(2, rows, slots, 3, 5, dtype=torch.float32, device=torch.device("cpu"))
    cache.keys.copy_(torch.arange(cache.keys.numel()).view_as(cache.keys))
    cache.values.copy_(-cache.keys - 1)
    return cache


def tokens(rows: int, count: int) -> tuple[Tensor, Tensor]:
    key = 10_000.0 + torch.arange(rows * count * 15).view(rows, count, 3, 5)
    return key, key + 5_000


def test_a_new_cache_holds_numbers_that_a_masked_weight_of_zero_cancels() -> None:
    cache = KVCache(2, 4, 7, 3, 5, dtype=torch.float16, device=torch.device("cpu"))
    assert cache.keys.dtype == torch.float16 and cache.rows == 4
    assert not cache.keys.any() and not cache.values.any()


def test_update_writes_each_row_at_its_own_slots_and_nowhere_else() -> None:
    cache = filled()
    wanted_keys, wanted_values = cache.keys.clone(), cache.values.clone()
    key, value = tokens(3, 2)
    starts = [4, 0, 2]
    for row, start in enumerate(starts):
        wanted_keys[1, row, start : start + 2], wanted_values[1, row, start : start + 2] = key[row], value[row]
    keys, values = cache.update(1, key, value, Geometry(torch.tensor(starts), 2, 6))
    assert torch.equal(cache.keys, wanted_keys) and torch.equal(cache.values, wanted_values)
    assert torch.equal(keys, wanted_keys[1, :3, :6]) and torch.equal(values, wanted_values[1, :3, :6])


def test_a_fresh_pass_fills_rows_from_slot_zero() -> None:
    cache = filled()
    wanted = cache.keys.clone()
    key, value = tokens(2, 4)
    wanted[0, :2, :4] = key
    keys, values = cache.update(0, key, value, Geometry(torch.zeros(2, dtype=torch.int64), 4, 4, fresh=True))
    assert torch.equal(cache.keys, wanted)
    assert torch.equal(keys, key) and torch.equal(values, value)


def test_move_row_copies_a_rows_length_in_every_layer_and_nothing_more() -> None:
    cache = filled()
    wanted_keys, wanted_values = cache.keys.clone(), cache.values.clone()
    wanted_keys[:, 1, :4], wanted_values[:, 1, :4] = wanted_keys[:, 3, :4], wanted_values[:, 3, :4]
    cache.move_row(3, 1, 4)
    assert torch.equal(cache.keys, wanted_keys) and torch.equal(cache.values, wanted_values)
