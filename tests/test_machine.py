"""What a container or a service leaves of the machine, read from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.machine import cores, memory_bytes, memory_limit, processors, quota

TOTAL = psutil.virtual_memory().total
NO_LIMIT = "9223372036854771712\n"  # what cgroup 1 says where there is none


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("membership", "files", "share", "limit"),
    (
        ("0::/\n", {"cpu.max": "150000 100000\n", "memory.max": "1000000000\n"}, 1.5, 1_000_000_000),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        # A service: the groups around it hold too, and the strictest of them.
        (
            "0::/user.slice/lab.service\n",
            {
                "user.slice/cpu.max": "200000 100000\n",
                "user.slice/lab.service/cpu.max": "400000 100000\n",
                "user.slice/memory.max": "max\n",
                "user.slice/lab.service/memory.max": "1000000000\n",
            },
            2.0,
            1_000_000_000,
        ),
        # A container that is told the name of its group outside sees its own files where they are mounted.
        ("0::/docker/0123\n", {"cpu.max": "50000 100000\n"}, 0.5, None),
        (
            "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "memory/docker/0123/memory.limit_in_bytes": "1000000000\n",
                "memory/memory.limit_in_bytes": NO_LIMIT,
            },
            3.0,
            1_000_000_000,
        ),
        (
            "3:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "memory/memory.limit_in_bytes": NO_LIMIT},
            None,
            None,
        ),
        ("", {}, None, None),
        ("nonsense", {"cpu.max": "\n", "memory.max": "\n"}, None, None),
    ),
)
def test_quotas_and_limits_are_read_as_the_kernel_writes_them(
    tmp_path: Path, membership: str, files: dict[str, str], share: float | None, limit: int | None
) -> None:
    groups, own = write(tmp_path / "groups", files), write(tmp_path, {"own": membership}) / "own"
    assert quota(groups, own) == share
    assert memory_limit(groups, own) == limit and memory_bytes(groups, own) == (limit or TOTAL)


def test_threads_are_as_many_as_the_quota_has_whole_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write(tmp_path, {"own": "0::/\n"}) / "own"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores() == processors(tmp_path, own) == 8
    for share, threads in ((250_000, 2), (50_000, 1), (6_400_000, 8)):
        write(tmp_path, {"cpu.max": f"{share} 100000\n"})
        assert processors(tmp_path, own) == threads


def test_without_control_groups_all_of_the_machine_may_be_used(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert (quota(nowhere, nowhere), memory_limit(nowhere, nowhere)) == (None, None)
    assert (processors(nowhere, nowhere), memory_bytes(nowhere, nowhere)) == (cores(), TOTAL)
