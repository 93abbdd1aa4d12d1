"""The machine around the cards: system, memory, shared memory, disk, processor. Reads; changes nothing."""

from __future__ import annotations

import mmap
import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.machine import CGROUP, cores, memory_limit, quota
from seqgpt_lab.studies.rigs import Rig

_GB = 1e9
_SHM_LEAST = 64e6
_SAMPLE_BYTES = 256 * 2**20
_SAMPLE_SECONDS = 0.5
_BLOCK = 4 * 2**20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Host:
    """ram_bytes: of the machine; limit_bytes: what a container leaves of it, None without a limit. shm_bytes: free in /dev/shm, None
    where there is none. disk: nvme, ssd, hdd, virtual, network, memory or unknown; read_bytes_a_second: of the model's files past the
    page cache, None when they could not be read so. features: what multiplies half precision in hardware.
    cores: that this process may run on, each hardware thread counted; quota: of how many of them a container leaves the time, None for
    all. held_threads: the variables that set the number of threads."""

    system: str
    ram_bytes: int
    limit_bytes: int | None
    shm_bytes: int | None
    disk: str
    read_bytes_a_second: float | None
    model: str
    features: tuple[str, ...]
    cores: int
    threads: int
    held_threads: str = ""
    quota: float | None = None


def read_host(model: str, shm: Path = Path("/dev/shm"), cgroup: Path = CGROUP) -> Host:
    """Look at this machine and at the disk that holds `model`. Raises CheckpointError when there is no such model."""
    import torch

    from seqgpt_lab.engine.checkpoint import find_checkpoint

    weights = find_checkpoint(model).weights
    amx, avx = torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported()
    return Host(
        system=platform.platform(),
        ram_bytes=psutil.virtual_memory().total,
        limit_bytes=memory_limit(cgroup),
        shm_bytes=psutil.disk_usage(str(shm)).free if shm.is_dir() else None,
        disk=disk_kind(weights[0]),
        read_bytes_a_second=read_speed(weights),
        model=model,
        features=tuple(name for name, has in (("AMX", amx), ("avx512_bf16", avx)) if has),
        cores=cores(),
        quota=quota(cgroup),
        threads=torch.get_num_threads(),
        held_threads=", ".join(f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if os.environ.get(name)),
    )


def check_host(found: Host, rig: Rig | None) -> list[Line]:
    """All lines on the machine around the cards."""
    return [_system(found, rig), _ram(found, rig), _shm(found, rig), _disk(found, rig), _processor(found)]


def disk_kind(path: Path, blocks: Path = Path("/sys/class/block")) -> str:
    """What holds the file: nvme, ssd, hdd, virtual, network, memory or unknown."""
    partitions = psutil.disk_partitions(all=True)
    target = path.resolve()
    under = [part for part in partitions if target.is_relative_to(part.mountpoint)]
    if not under:
        return "unknown"
    partition = max(under, key=lambda part: len(part.mountpoint))
    if partition.fstype in ("tmpfs", "ramfs"):
        return "memory"
    if partition.fstype.startswith(("nfs", "cifs", "smb", "fuse.", "9p", "virtiofs", "ceph", "lustre")):
        return "network"
    return _device_kind(Path(partition.device).resolve().name, blocks)


def _device_kind(device: str, blocks: Path) -> str:
    """Of a block device; a volume of LVM, an encrypted one or an array is of the kind of the disks that it lies on, where they are one."""
    if device.startswith("nvme"):
        return "nvme"
    if device.startswith(("vd", "xvd")):
        return "virtual"
    block = blocks / device
    if below := {_device_kind(path.name, blocks) for path in block.glob("slaves/*")}:
        return below.pop() if len(below) == 1 else "unknown"
    for folder in (block, block.resolve().parent):  # a partition has its disk's queue one level up
        with suppress(OSError):
            return "hdd" if (folder / "queue" / "rotational").read_text(encoding="ascii").strip() == "1" else "ssd"
    return "unknown"


def read_speed(files: tuple[Path, ...]) -> float | None:
    """Bytes a second of the first 256 MiB, or what half a second brings, read with O_DIRECT; the best of three times, for a small file is
    read in no time. None where the file system has no such thing."""
    speeds = [_read_once(files) for _ in range(3)]
    return max((speed for speed in speeds if speed is not None), default=None)


def _read_once(files: tuple[Path, ...]) -> float | None:
    buffer, done = mmap.mmap(-1, _BLOCK), 0
    buffer[::4096] = bytes(_BLOCK // 4096)  # the memory is there before the clock runs
    started = time.perf_counter()
    for path in files:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        except (OSError, AttributeError):
            return None
        try:
            while done < _SAMPLE_BYTES and time.perf_counter() - started < _SAMPLE_SECONDS:
                count = os.readv(descriptor, [buffer])
                done += count
                if count < _BLOCK:
                    break
        except OSError:
            return None
        finally:
            os.close(descriptor)
    return done / (time.perf_counter() - started)


def _system(found: Host, rig: Rig | None) -> Line:
    wanted = str(rig.expects.get("system", "")) if rig else ""
    if wanted and not found.system.startswith(wanted):
        return Line("system", "warning", found.system, wanted, "flash-attn and NCCL are for Linux", "use Linux, or WSL 2 under Windows")
    return Line("system", "ok", found.system, wanted)


def _ram(found: Host, rig: Rig | None) -> Line:
    usable = found.limit_bytes or found.ram_bytes
    shown = f"{usable / _GB:.1f} GB" + (
        f" (the container's limit; the machine has {found.ram_bytes / _GB:.1f})" if found.limit_bytes else ""
    )
    wanted = float(rig.expects.get("ram_bytes", 0)) if rig else 0
    why = "each worker reads its weights through host memory, and the notebooks, the browser and the page cache want some too"
    if usable < 4e9:
        return Line(
            "ram",
            "failed",
            shown,
            "at least 4 GB",
            "SeqGPT-560M with PyTorch needs about 2.5 GB",
            "close what else runs, or raise the limit",
        )
    # A machine sold with 64 GB shows a few per cent less.
    if usable < 0.95 * wanted:
        return Line("ram", "warning", shown, f"{wanted / _GB:.0f} GB", why, "add memory, or raise the container's limit")
    return Line("ram", "ok", shown, f"{wanted / _GB:.0f} GB" if wanted else "")


def _shm(found: Host, rig: Rig | None) -> Line:
    wanted = float(rig.expects.get("shm_bytes", _SHM_LEAST)) if rig else _SHM_LEAST
    expected = f"{wanted / _GB:.2g} GB free" if wanted >= 1e8 else f"{wanted / 1e6:.0f} MB free"
    why = "NCCL passes sums between cards through it where cards cannot read one another; Chromium and data loaders use it too"
    fix = "start the container with --shm-size=2g (or --ipc=host)"
    if found.shm_bytes is None:
        serious = rig is not None and rig.devices > 1
        return Line("shm", "failed" if serious else "warning", "/dev/shm does not exist", expected, why, fix)
    shown = f"{found.shm_bytes / _GB:.2f} GB free in /dev/shm"
    return Line("shm", "warning" if found.shm_bytes < wanted else "ok", shown, expected, why, fix)


def _disk(found: Host, rig: Rig | None) -> Line:
    speed = "its read speed could not be measured" if found.read_bytes_a_second is None else f"{found.read_bytes_a_second / _GB:.2f} GB/s"
    shown = f"{found.disk}, {speed} past the page cache, at the files of {found.model}"
    wanted = str(rig.expects.get("disk", "")) if rig else ""
    if wanted and found.disk != wanted and found.disk not in ("memory", "virtual", "unknown"):
        why = "only the first load of a model is slower, by its size over this speed; later loads come from the page cache"
        return Line("disk", "warning", shown, wanted, why, "put the model's folder on an NVMe disk")
    return Line("disk", "ok", shown, wanted)


def _processor(found: Host) -> Line:
    limited = "" if found.quota is None else f", of whose time the container's quota leaves that of {found.quota:g}"
    shown = f"{found.cores} cores{limited}, {found.threads} threads for PyTorch, {' and '.join(found.features) or 'no bf16 units'}"
    if found.quota is not None and found.threads > max(1, int(found.quota)):
        fix = f"set OMP_NUM_THREADS={max(1, int(found.quota))} where one process decodes, or raise the quota (`docker run --cpus=…`)"
        why = "more threads than the quota has time for are stopped together until the next period; worker processes get as many as fit"
        return Line("processor", "warning", shown, "no more threads than the quota has processors", why, fix)
    if not found.features:
        why = "without AMX or avx512_bf16 the CPU runs in fp32 (dtype auto); a card is not affected"
        return Line("processor", "note", shown, "", why)
    if found.threads < found.cores and found.held_threads:  # by itself PyTorch takes a thread a core, though each may run two
        return Line("processor", "note", shown, "", f"{found.held_threads} holds PyTorch to fewer threads than there are cores")
    return Line("processor", "ok", shown)
