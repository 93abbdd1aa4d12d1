"""Twenty thousand documents streamed through a small model: memory and time a document stay what they are after the first thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from tests.checkpoints import write_random_checkpoint

MEASURE = """
import json, sys, time
from itertools import islice
from random import Random
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.extraction.extractor import Extractor

def resident():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024

def requests(extractor, chance, count):
    for number in range(count):
        yield from extractor.prepare(compose(chance.choice(KINDS), "train", chance, number), "姓名,公司,电话,日期").requests

thousands, chance = int(sys.argv[2]), Random(0)
with Engine.load(sys.argv[1], dtype=sys.argv[3], device="cpu", batch_size=16, cache_bytes=16 << 20) as engine:
    extractor = Extractor(engine, max_new_tokens=12, grounded=True)
    answers = engine.stream(requests(extractor, chance, 1000 * thousands), window=250)
    for thousand in range(thousands):
        begun = time.process_time()
        tokens = sum(len(answer.token_ids) for answer in islice(answers, 1000))
        print(json.dumps([resident(), time.process_time() - begun, tokens]), flush=True)
"""


def measured(model: str, thousands: int, dtype: str) -> list[tuple[int, float, int]]:
    """After each thousand documents: bytes held, seconds of processor time it took, tokens written."""
    command = [sys.executable, "-c", MEASURE, model, str(thousands), dtype]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(int(held), float(seconds), int(tokens)) for held, seconds, tokens in map(json.loads, output.splitlines())]


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("dtype", ("fp32", "bf16"))
def test_memory_and_time_a_document_stay_flat(tmp_path: Path, dtype: str) -> None:
    found = measured(str(write_random_checkpoint(tmp_path, hidden=64, heads=1, layers=1)), 20, dtype)
    assert len(found) == 20 and min(tokens for *_, tokens in found) > 5_000
    held = [one[0] for one in found]
    assert max(held) <= 1.1 * held[0], f"bytes after each thousand: {held}"
    seconds = [one[1] for one in found]
    assert median(seconds[-5:]) <= 1.5 * median(seconds[:5]), f"seconds of each thousand: {seconds}"
