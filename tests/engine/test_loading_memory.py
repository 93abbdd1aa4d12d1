"""Peak memory of loading, measured by the kernel in a process of its own, on checkpoints of zeros that take no room on the disk."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.weights import stored_name

MEASURE = """
import sys
from pathlib import Path
import torch
from seqgpt_lab.engine.attention import SdpaAttention
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.memory import give_back_memory
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.weights import load_model

def status(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

for argument in sys.argv[1:]:  # from the smallest, since the high-water mark never falls
    folder, dtype = Path(argument).parent, Path(argument).name
    config, files = ModelConfig.read(folder / "config.json"), [folder / "model.safetensors"]
    before = status("VmRSS:")
    model = load_model(config, files, shard=Shard(), dtype=DTYPES[dtype], device=torch.device("cpu"), attention=SdpaAttention())
    held = status("VmRSS:") - before  # before the mark is read, which a few pages more would raise above it
    print(status("VmHWM:") - before, held, sum(parameter.nbytes for parameter in model.parameters()))
    del model
    give_back_memory()  # else the next load finds room that was counted before it
"""


def write_zeros(folder: Path, config: ModelConfig) -> Path:
    """A whole fp16 checkpoint with a head, tied or not, whose tensors are one hole in the file."""
    folder.mkdir()
    with torch.device("meta"):
        shapes = {stored_name(name): tuple(parameter.shape) for name, parameter in Bloom(config).named_parameters()}
    shapes["lm_head.weight"] = (config.vocab_size, config.hidden_size)
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(8 + len(encoded) + end)
    (folder / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_loading_takes_little_more_than_the_weights(tmp_path: Path) -> None:
    """SeqGPT-560M's width, with an eighth of its layers, fewer words, and a head of its own, so that the last tensor is a large one; and
    with a head that is only compared."""
    own = ModelConfig(vocab_size=60_000, hidden_size=1024, layers=3, heads=16, tied_head=False)
    tied, untied = write_zeros(tmp_path / "tied", replace(own, tied_head=True)), write_zeros(tmp_path / "untied", own)
    loads = [str(tied / "fp16"), str(untied / "fp16"), str(untied / "fp32")]
    output = subprocess.run([sys.executable, "-c", MEASURE, *loads], check=True, capture_output=True, text=True).stdout
    for line, least in zip(output.splitlines(), (190e6, 300e6, 600e6), strict=True):
        peak, held, weights = (int(number) for number in line.split())
        assert weights > least
        assert 0.95 * weights < held <= peak, "the weights are not where this test looks for them"
        assert peak <= 1.15 * weights
