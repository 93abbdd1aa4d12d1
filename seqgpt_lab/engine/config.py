"""The shape of a BLOOM model and the dtype and device it runs on; reads config.json, touches no weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.errors import CheckpointError, EngineWarning, OptionError

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
LIMITS = {"vocab_size": 1 << 24, "hidden_size": 1 << 17, "n_layer": 1 << 10, "n_head": 1 << 13, "seq_length": 1 << 24}
"""The most of each size, several times that of the largest BLOOM: what lies beyond is a mistake, and laying it out could take for ever."""
_ALIASES = {"float16": "fp16", "half": "fp16", "bfloat16": "bf16", "float32": "fp32", "float": "fp32"}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A BLOOM's shape. Sizes are counts; `head_dim` is hidden_size / heads; ids index the vocabulary.

    seq_length: tokens of the prompts that it was trained on, beyond which it reads worse; None where config.json does not say.
    """

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    layer_norm_epsilon: float = 1e-5
    residual_after_layer_norm: bool = False
    bos_token_id: int = 1
    eos_token_id: int = 2
    pad_token_id: int = 3
    tied_head: bool = True
    seq_length: int | None = None

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads

    @classmethod
    def read(cls, path: Path) -> ModelConfig:
        """Read a Hugging Face config.json. Raises CheckpointError when it is missing, not JSON, or not a BLOOM."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}); a model directory needs a config.json") from error
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON ({error}); download the file again") from error
        if not isinstance(found, dict) or found.get("model_type") != "bloom":
            kind = found.get("model_type") if isinstance(found, dict) else type(found).__name__
            raise CheckpointError(f"{path} describes a model of type {kind!r}; this engine runs 'bloom' (SeqGPT-560M is one)")
        return cls._from_json(found, path)

    @classmethod
    def _from_json(cls, found: dict[str, Any], path: Path) -> ModelConfig:
        def size(*names: str) -> int:
            value = next((found[name] for name in names if name in found), None)
            most = LIMITS[names[0]]
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise CheckpointError(f"{path}: {names[0]} is {value!r}; a whole number from 1 to {most:,} is needed")
            return value

        def token_id(name: str, default: int) -> int:
            value = default if found.get(name) is None else found[name]
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < size("vocab_size"):
                raise CheckpointError(f"{path}: {name} is {value!r}; an id below vocab_size {size('vocab_size')} is needed")
            return value

        def flag(name: str, default: bool) -> bool:
            value = found.get(name, default)
            if not isinstance(value, bool | None):
                raise CheckpointError(f"{path}: {name} is {value!r}; true or false is needed")
            return bool(value)

        def epsilon() -> float:
            value = 1e-5 if found.get("layer_norm_epsilon") is None else found["layer_norm_epsilon"]
            if not isinstance(value, int | float) or not 0 < value < 1:
                raise CheckpointError(f"{path}: layer_norm_epsilon is {value!r}; a number between 0 and 1 is needed")
            return float(value)

        config = cls(
            vocab_size=size("vocab_size"),
            hidden_size=size("hidden_size", "n_embed"),
            layers=size("n_layer", "num_hidden_layers"),
            heads=size("n_head", "num_attention_heads"),
            layer_norm_epsilon=epsilon(),
            residual_after_layer_norm=flag("apply_residual_connection_post_layernorm", False),
            bos_token_id=token_id("bos_token_id", 1),
            eos_token_id=token_id("eos_token_id", 2),
            pad_token_id=token_id("pad_token_id", 3),
            tied_head=flag("tie_word_embeddings", True),
            seq_length=None if found.get("seq_length") is None else size("seq_length"),
        )
        if config.hidden_size % config.heads:
            raise CheckpointError(f"{path}: hidden_size {config.hidden_size} is not a multiple of n_head {config.heads}")
        return config

    def to_json(self, dtype: str = "float16") -> dict[str, Any]:
        """The config.json that transformers and this engine both read; `dtype` names how the weights are stored."""
        return {
            "architectures": ["BloomForCausalLM"],
            "model_type": "bloom",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "n_layer": self.layers,
            "n_head": self.heads,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "apply_residual_connection_post_layernorm": self.residual_after_layer_norm,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_id,
            "pad_token_id": self.pad_token_id,
            "unk_token_id": 0,
            "attention_dropout": 0.0,
            "hidden_dropout": 0.0,
            "initializer_range": 0.02,
            "pretraining_tp": 1,
            "slow_but_exact": False,
            "tie_word_embeddings": self.tied_head,
            "torch_dtype": dtype,
            "use_cache": True,
            **({} if self.seq_length is None else {"seq_length": self.seq_length}),
        }


def check_whole(counts: Mapping[str, object]) -> None:
    """Python holds nobody to the types of options. Raises OptionError, naming it, for one that is no whole number."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise OptionError(f"{name} is {value!r}; a whole number is needed")


def resolve_device(name: str) -> torch.device:
    """'auto' is CUDA when there is one, else the CPU. Raises OptionError for a device that is not here or does not start.

    Warns with an EngineWarning where 'auto' is the CPU although there are cards.
    """
    if name == "auto":
        if trouble := _cuda_trouble():
            warnings.warn(f"this runs on the CPU: {trouble}; device='cpu' asks for that without this warning", EngineWarning, stacklevel=2)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise OptionError(f"device {name!r} is not supported; choose auto, cpu, cuda or cuda:N")
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise OptionError(f"device {name!r} asked for, but this machine shows {count} CUDA devices; use device='cpu' or check the driver")
    if trouble := _cuda_trouble():
        raise OptionError(f"device {name!r} asked for, but {trouble}; or use device='cpu'")
    return device


def _cuda_trouble() -> str:
    """Why CUDA does not start on a machine that shows cards, and what to do; empty where it starts, and where there are no cards.

    The driver's own library counts cards without starting CUDA, so that it counts them under a driver too old for this torch as well.
    """
    count = torch.cuda.device_count()
    if not count or torch.cuda.is_available():
        return ""
    said = "torch finds CUDA unavailable"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())
    return (
        f"this machine shows {count} CUDA devices and CUDA does not start ({said}); `seqgpt-lab doctor` names the cause, mostly a driver "
        f"too old for torch {torch.__version__}: install a newer driver, or a torch built for an older CUDA"
    )


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """'auto' is fp16 on CUDA, bf16 on a CPU that multiplies it in hardware, else fp32. Raises OptionError for other names."""
    if name == "auto":
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if cpu_multiplies_bf16() else torch.float32
    short = _ALIASES.get(name, name)
    if short not in DTYPES:
        raise OptionError(f"unknown dtype {name!r}; choose auto, {', '.join(DTYPES)}")
    return DTYPES[short]


def short_name(dtype: torch.dtype) -> str:
    """`fp16`, `bf16` or `fp32`: the name of a dtype in `DTYPES`."""
    return next(name for name, kind in DTYPES.items() if kind == dtype)


def cpu_multiplies_bf16() -> bool:
    """True with AMX or avx512_bf16; without them bf16 is emulated, several times slower than fp32."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
