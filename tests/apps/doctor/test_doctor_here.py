"""`seqgpt-lab doctor` on the machine the tests run on, its facts held against other ways of asking."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from seqgpt_lab.apps.doctor.host_checks import disk_kind, read_host, read_speed
from seqgpt_lab.apps.doctor.nvml import count_on_bus
from seqgpt_lab.resources import bundled
from tests.apps.conftest import Invoke

ROOT = Path(__file__).resolve().parents[3]


def test_every_line_is_true_here_and_the_code_is_right(invoke: Invoke) -> None:
    # Processor time: how long it takes when nothing else runs. Its longest wait, reading from the disk, ends after 1.5 seconds.
    started = time.process_time()
    result = invoke("doctor", "--json", "--rig", "none")
    assert time.process_time() - started < 10
    found = json.loads(result.stdout)
    lines = {line["name"]: line for line in found["lines"]}
    assert found["ok"] == (result.exit_code == 0) and result.exit_code in (0, 1)
    assert lines["ram"]["found"].startswith(f"{psutil.virtual_memory().total / 1e9:.1f} GB") or "limit" in lines["ram"]["found"]
    assert lines["processor"]["found"].startswith(f"{len(os.sched_getaffinity(0))} cores, ")
    assert f", {torch.get_num_threads()} threads for PyTorch" in lines["processor"]["found"]
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    assert ("avx512_bf16" in lines["processor"]["found"]) == bool(re.search(r"\bavx512_bf16\b", flags))
    assert "cpu: float16" in lines["fp16-product"]["found"]
    if not torch.cuda.is_available():
        assert "flash-attn" in lines and lines["flash-attn"]["status"] == "note"


def test_a_rig_that_this_is_not_fails_and_unknown_ones_are_bad_use(invoke: Invoke) -> None:
    if torch.cuda.device_count() >= 2:
        pytest.skip("this may be the rig")
    failed = invoke("doctor", "--rig", "dual-4090")
    assert failed.exit_code == 1 and "FAILED   cards" in failed.stdout
    unknown = invoke("doctor", "--rig", "dual-5090")
    assert unknown.exit_code == 2 and "dual-4090" in unknown.stderr and "auto" in unknown.stderr


def test_the_disk_of_memory_is_memory_and_its_speed_is_not_guessed() -> None:
    weights = bundled("models", "seqgpt-tiny", "model.safetensors")
    assert disk_kind(weights) in {"nvme", "ssd", "hdd", "virtual", "network", "memory", "unknown"}
    assert read_speed((Path("/nowhere/model.safetensors"),)) is None
    if Path("/dev/shm").is_dir():
        assert disk_kind(Path("/dev/shm/x")) == "memory"


def test_a_volume_is_of_the_kind_of_its_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu puts its servers on LVM: the volume's own queue says only that nothing turns."""
    part = SimpleNamespace(mountpoint="/", fstype="ext4", device="/dev/dm-1")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [part])
    for device, below in (("dm-1", ["dm-0"]), ("dm-0", ["nvme0n1p3"])):
        for name in below:
            (tmp_path / device / "slaves" / name).mkdir(parents=True)
        (tmp_path / device / "queue").mkdir()
        (tmp_path / device / "queue" / "rotational").write_text("0\n", encoding="ascii")
    assert disk_kind(Path("/models/x"), tmp_path) == "nvme"
    (tmp_path / "dm-1" / "slaves" / "vda").mkdir()
    assert disk_kind(Path("/models/x"), tmp_path) == "unknown"


def test_a_system_that_does_not_tell_its_processes_cores_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert read_host("tiny").cores == os.cpu_count()


def test_absent_places_are_facts_not_errors(tmp_path: Path) -> None:
    host = read_host("tiny", shm=tmp_path / "none", cgroup=tmp_path / "none")
    assert host.shm_bytes is None and host.limit_bytes is None and host.quota is None
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    host = read_host("tiny", shm=tmp_path, cgroup=tmp_path)
    assert (host.limit_bytes, host.quota) == (2_000_000_000, 1.5)
    assert count_on_bus(tmp_path / "none") == 0
