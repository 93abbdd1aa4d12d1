"""What PyTorch makes of the machine, and whether that is what the lab needs: build, cuDNN, kernels, FP16, flash-attn."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from seqgpt_lab.apps.doctor.card_checks import version
from seqgpt_lab.apps.doctor.in_use import in_use, used_cards
from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.apps.doctor.nvml import Card, Cards
from seqgpt_lab.apps.doctor.visible_checks import check_visible
from seqgpt_lab.studies.rigs import Rig

_FLASH_LEAST = (2, 5, 8)


@dataclass(frozen=True, slots=True)
class Torch:
    """cuda: the version PyTorch is built for, empty for a CPU build. devices: that it sees. trouble: why a CUDA build sees none.

    cudnn: its version as PyTorch counts it (91002 is 9.10.2), None when it does not load; cudnn_trouble: how that ended. kernels: the
    architectures compiled in, such as 'sm_89'. products: by device, the dtype of an FP16 product. flash: flash-attn's version;
    flash_trouble: why it does not import. visible, order, library_path: CUDA_VISIBLE_DEVICES (None where unset), CUDA_DEVICE_ORDER and
    LD_LIBRARY_PATH.
    """

    version: str
    cuda: str = ""
    devices: int = 0
    trouble: str = ""
    cudnn: int | None = None
    cudnn_trouble: str = ""
    kernels: tuple[str, ...] = ()
    products: tuple[tuple[str, str], ...] = ()
    flash: str = ""
    flash_trouble: str = ""
    visible: str | None = None
    order: str = ""
    library_path: str = ""


def read_torch() -> Torch:
    """Ask PyTorch. Starts CUDA where there is a card, so read the cards' memory before."""
    import torch

    built, count, trouble = torch.version.cuda or "", 0, ""
    if built:
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            count = torch.cuda.device_count()  # before, it tells NVML's cards, of which CUDA may give this process fewer
        except (RuntimeError, AssertionError) as error:
            trouble = " ".join(str(error).split())
    cudnn, cudnn_trouble = _cudnn() if built else (None, "")
    flash, flash_trouble = _flash()
    names = ["cpu", *(f"cuda:{index}" for index in range(count))]
    return Torch(
        version=torch.__version__,
        cuda=built,
        devices=count,
        trouble=trouble,
        cudnn=cudnn,
        cudnn_trouble=cudnn_trouble,
        kernels=tuple(torch.cuda.get_arch_list()) if count else (),
        products=tuple((name, _product(name)) for name in names),
        flash=flash,
        flash_trouble=flash_trouble,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        order=os.environ.get("CUDA_DEVICE_ORDER", ""),
        library_path=os.environ.get("LD_LIBRARY_PATH", ""),
    )


def check_torch(found: Torch, cards: Cards, rig: Rig | None) -> list[Line]:
    """All lines on PyTorch; those on CUDA only where there are cards, or a rig that has some."""
    lines, used = [_products(found)], used_cards(cards, in_use(cards, found.visible, found.order))
    if found.cuda or cards.cards or cards.on_bus or (rig is not None and rig.kind == "cuda"):
        visible = check_visible(cards, rig, found.devices, found.visible, found.order) if found.cuda else ()
        lines = [_build(found, cards), *visible, *_kernels(found, used), _cudnn_line(found, rig), *lines]
    return [*lines, _flash_line(found, used), *_library_path(found)]


def _cudnn() -> tuple[int | None, str]:
    import torch

    try:
        return torch.backends.cudnn.version(), ""  # type: ignore[no-untyped-call]
    except (RuntimeError, OSError) as error:  # what is loaded is not what PyTorch was built with, or a part is missing
        return None, " ".join(str(error).split())


def _product(device: str) -> str:
    """The dtype of a product of two FP16 matrices, or the error that it ended in."""
    import torch

    try:
        half = torch.full((16, 16), 0.5, dtype=torch.float16, device=device)
        product = half @ half
        return str(product.dtype).removeprefix("torch.") if float(product[0, 0]) == 4.0 else f"wrong: {float(product[0, 0])} for 4.0"
    except RuntimeError as error:
        return f"failed: {' '.join(str(error).split())[:200]}"


def _flash() -> tuple[str, str]:
    try:
        found = installed("flash-attn")
    except PackageNotFoundError:
        return "", "it is not installed"
    try:
        from flash_attn import flash_attn_with_kvcache  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        return found, " ".join(str(error).split())[:200]
    return found, ""


def _build(found: Torch, cards: Cards) -> Line:
    if not found.cuda:
        why = "a CPU build of PyTorch cannot use a card"
        return Line(
            "torch-cuda", "failed", f"torch {found.version}, built without CUDA", "a CUDA build", why, "conda env create -f environment.yml"
        )
    shown = f"torch {found.version}, built for CUDA {found.cuda}"
    if cards.cuda and version(cards.cuda)[:1] < version(found.cuda)[:1]:
        why = f"the driver runs CUDA up to {cards.cuda}; an older major version cannot run this build"
        return Line(
            "torch-cuda", "failed", shown, f"CUDA {cards.cuda} or older", why, f"a newer driver, or a PyTorch built for CUDA {cards.cuda}"
        )
    if found.trouble:
        return Line(
            "torch-cuda",
            "failed",
            f"{shown}; it does not start: {found.trouble}",
            "",
            "everything would run on the CPU",
            "see the lines `cards` and `driver`",
        )
    return Line("torch-cuda", "ok", shown)


def _kernels(found: Torch, cards: Sequence[Card]) -> Iterator[Line]:
    """A build holds code for some architectures; a card runs that of its own or a lower minor version of the same major."""
    wanted = sorted({card.capability for card in cards if card.capability})
    if not found.kernels or not wanted:
        return
    have = [version(kernel.split("_")[-1]) for kernel in found.kernels if kernel.startswith("sm_")]
    compiled = {(number[0] // 10, number[0] % 10) for number in have if number}
    missing = [text for text in wanted if not any(major == version(text)[0] and minor <= version(text)[1] for major, minor in compiled)]
    shown = ", ".join(found.kernels)
    if missing:
        why = "CUDA would end with `no kernel image is available for execution on the device`"
        yield Line(
            "kernels", "failed", shown, f"code for {', '.join(missing)}", why, "install a PyTorch build that names this architecture"
        )
    else:
        yield Line("kernels", "ok", shown, f"code for {', '.join(wanted)}")


def _cudnn_line(found: Torch, rig: Rig | None) -> Line:
    wanted = str(rig.expects.get("cudnn", "")) if rig else ""
    expected = f"{wanted} or newer" if wanted else "the one PyTorch brings"
    if not found.cuda:
        return Line("cudnn", "note", "not looked for: PyTorch is built without CUDA", expected)
    if found.cudnn is None:
        why = "PyTorch's CUDA libraries load it at the first call: `libcudnn.so … cannot open shared object file`"
        fix = "pip install --force-reinstall -c constraints.txt torch (it brings its own cuDNN)"
        if "cudnn" in found.library_path.lower() or "cuda" in found.library_path.lower():
            fix = f"unset LD_LIBRARY_PATH (it is {found.library_path!r}, and may hide PyTorch's own); if that is not it: {fix}"
        return Line("cudnn", "failed", found.cudnn_trouble or "not found", expected, why, fix)
    major, rest = divmod(found.cudnn, 10000) if found.cudnn >= 90000 else divmod(found.cudnn, 1000)
    shown = f"{major}.{rest // 100}.{rest % 100}"
    if wanted and version(shown) < version(wanted):
        return Line(
            "cudnn", "warning", shown, expected, "older than PyTorch was built with", "unset LD_LIBRARY_PATH so that PyTorch finds its own"
        )
    return Line("cudnn", "ok", shown, expected)


def _products(found: Torch) -> Line:
    shown = ", ".join(f"{device}: {dtype}" for device, dtype in found.products)
    if all(dtype == "float16" for _, dtype in found.products):
        return Line("fp16-product", "ok", shown, "float16")
    why = "FP16 weights would be computed in another precision, or not at all"
    return Line(
        "fp16-product",
        "failed",
        shown,
        "float16",
        why,
        "unset default-dtype and autocast settings; then see the lines `torch-cuda` and `kernels`",
    )


def _flash_line(found: Torch, cards: Sequence[Card]) -> Line:
    why = "without it attention runs through SDPA with an ALiBi bias: the same values, more memory on long texts"
    if not cards:
        return Line("flash-attn", "note", "not usable: there is no card to run it on", why="attention runs through SDPA on the CPU")
    if found.flash_trouble:
        fix = (
            "conda env create -f environment.yml && conda activate seqgpt-lab brings one built for its torch, `make rig` then uses it "
            "(environment.yml says how to build it with pip)"
        )
        shown = f"{found.flash or 'none'}: {found.flash_trouble}"
        return Line("flash-attn", "warning", shown, "2.5.8 or newer", why, fix)
    if version(found.flash)[:3] < _FLASH_LEAST:
        return Line(
            "flash-attn", "warning", found.flash, "2.5.8 or newer", "older ones have no ALiBi with a cache", "pip install -U flash-attn"
        )
    old = [card.name for card in cards if card.capability and version(card.capability) < (8, 0)]
    if old:
        return Line(
            "flash-attn",
            "warning",
            f"{found.flash}, but {old[0]} is older than Ampere",
            "compute capability 8.0",
            "there attention runs through SDPA with an ALiBi bias: the same values, more memory on long texts",
            "nothing to do, --attention auto takes SDPA there",
        )
    return Line("flash-attn", "ok", found.flash, "2.5.8 or newer")


def _library_path(found: Torch) -> Iterator[Line]:
    """A second CUDA or cuDNN in front of PyTorch's own is a common cause of symbols that are missing."""
    entries = [entry for entry in found.library_path.split(":") if entry]
    foreign = [entry for entry in entries if any(Path(entry).glob("libcudnn*"))]
    if foreign:
        why = "this cuDNN is found before the one PyTorch brings, and may be of another version"
        yield Line(
            "library-path",
            "warning",
            f"LD_LIBRARY_PATH holds cuDNN in {', '.join(foreign)}",
            "no cuDNN there",
            why,
            "unset LD_LIBRARY_PATH",
        )
