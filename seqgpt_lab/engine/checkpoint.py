"""Where a model's files are: a Hugging Face directory, the article's package, a hub id or the embedded model. Reads no weights."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.errors import CheckpointError
from seqgpt_lab.resources import bundled

_WANTED = ("*.json", "*.safetensors")  # in sub-folders too: the hub's * crosses slashes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files, all of them present. weights: the safetensors shards in name order."""

    source: str
    directory: Path
    config: Path
    weights: tuple[Path, ...]
    tokenizer: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.config, *self.weights, self.tokenizer)


def find_checkpoint(source: str | Path) -> Checkpoint:
    """`tiny`, a directory (config.json, safetensors, tokenizer.json), the article's `model/` + `tokenizer/`, or a hub id.

    Raises CheckpointError naming what is missing and how to mend it.
    """
    directory = _directory(source)
    package = (directory / "model" / "config.json").exists()
    model = directory / "model" if package else directory
    tokenizer = directory / "tokenizer" if package else directory
    if not (model / "config.json").exists():
        raise CheckpointError(f"{model} has no config.json; a model directory holds config.json, *.safetensors and tokenizer.json")
    weights = _weight_files(model)
    tokenizer_file = tokenizer / "tokenizer.json"
    if not tokenizer_file.exists():
        raise CheckpointError(f"{tokenizer_file} is missing; copy the tokenizer.json that belongs to the model there")
    return Checkpoint(str(source), directory, model / "config.json", weights, tokenizer_file)


def indexed_files(index: Path) -> tuple[Path, ...]:
    """The shards that an index names and the whole file, if that is beside them, in name order: who reads both finds whether they agree.

    Where none of the shards is left the whole file is meant: transformers leaves the index there when it saves a model anew in one file,
    and the whole file when it saves one anew in shards. Raises CheckpointError naming the shards that are not beside the index.
    """
    model, whole = index.parent, index.with_name(index.name.removesuffix(".index.json"))
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in names if not (model / name).exists()]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is not an index of shards ({error!r}); download it again") from error
    if missing == names and whole.exists():
        return (whole,)
    if missing:
        raise CheckpointError(f"{model} lacks {len(missing)} of the {len(names)} shards its index names: {', '.join(missing)}; add them")
    return tuple(model / name for name in sorted({*names, whole.name} if whole.exists() else names))


def _directory(source: str | Path) -> Path:
    if str(source) == "tiny":
        return bundled("models", "seqgpt-tiny")
    path = Path(os.path.expanduser(source))  # unlike Path's own, it leaves a user that there is not as it stands
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file; give the directory that holds config.json and the weights")
    parts = str(source).split("/")
    if len(parts) == 2 and all(parts) and not str(source).startswith((".", "~")):
        return _download(str(source))
    raise CheckpointError(f"there is no model at {str(source)!r}: not a directory, not a hub id (owner/name), not 'tiny'")


def _download(hub_id: str) -> Path:
    """A hub repository's snapshot, from the local cache or the network; never its pickle files."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_WANTED)))
    except Exception as error:  # the hub's own errors share no base class with the network's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{hub_id!r} is not a directory here and could not be fetched from the hub ({reason}); "
            "download it on a machine with internet access and give its directory"
        ) from error


def _weight_files(model: Path) -> tuple[Path, ...]:
    """The single safetensors file, the index's shards, or both."""
    index = model / "model.safetensors.index.json"
    if index.exists():
        return indexed_files(index)
    single = model / "model.safetensors"
    if single.exists():
        return (single,)
    pickles = sorted(path.name for path in [*model.glob("*.bin"), *model.glob("*.pt")])
    if pickles:
        raise CheckpointError(
            f"{model} holds only pickle weights ({', '.join(pickles[:3])}), which can run code when read; "
            f"turn them into safetensors once with: seqgpt-lab convert {model} NEW_DIRECTORY"
        )
    raise CheckpointError(f"{model} holds no weights: model.safetensors, or model.safetensors.index.json with its shards, is needed")
