"""Reads a training checkpoint: what it says of the run that made it, and whether another run may go on from it; knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.corpus.kind import Kind, with_drawn
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.errors import CheckpointError, OptionError

CHECKPOINT = "checkpoint.pt"
_PARTS = {"recipe", "tokenizer", "step", "batches", "model", "guide", "optimisers"}  # of every version
_ANEW = "or another directory to start anew"


def made_with(recipe: Recipe, tokenizer: Tokenizer, roles: Sequence[str], real: AnnotatedSets | None, start: str) -> dict[str, Any]:
    """What has to be the same where training goes on. start: the SHA-256 of each file of weights it began from; empty for random ones."""
    return {
        "recipe": asdict(recipe),
        "tokenizer": tokenizer.to_str(),
        "roles": list(roles),
        "start": start,
        "real": [] if real is None else sorted(each.name for each in real.sets),  # what a tagger teaches is one of these
    }


def read_state(path: Path) -> dict[str, Any]:
    """What a checkpoint holds. Raises CheckpointError where it is none, OSError where it cannot be read."""
    fix = "name another OUT, or remove the file to start anew"
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception as error:  # bytes that are no checkpoint raise nearly anything
        raise CheckpointError(f"{path} is no whole training checkpoint ({type(error).__name__}); {fix}") from error
    lacking = sorted(_PARTS - state.keys()) if isinstance(state, dict) else sorted(_PARTS)
    if lacking:
        raise CheckpointError(f"{path} is no checkpoint of this training (it lacks {', '.join(lacking)}); {fix}")
    return dict(state)


def check_made_alike(state: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises OptionError where a checkpoint was made with something else than `made_with` says of this run; it names what, and the fix.

    Checkpoints of earlier versions do not say which weights they began from and which sets they learned; that is not checked then.
    """
    if state["recipe"] != wanted["recipe"] or state["tokenizer"] != wanted["tokenizer"]:
        different = [name for name, value in wanted["recipe"].items() if state["recipe"].get(name) != value]
        raise OptionError(
            f"the checkpoint was made with another recipe ({', '.join(different) or 'another tokenizer'} differ); "
            f"give the same options to resume (tokens and pool_rows follow --large-batches, --small-batches and --start), {_ANEW}"
        )
    if state.get("roles") != wanted["roles"]:
        raise OptionError(
            f"the checkpoint was made for documents of other fields than the {len(wanted['roles'])} of this version; train on from its "
            "last exported model (--start) in another directory"
        )
    if (began := state.get("start", wanted["start"])) != wanted["start"]:
        raise OptionError(
            f"the checkpoint began from weights of SHA-256 {began or '(none: random ones)'}, --start gives {wanted['start'] or 'none'}; "
            f"give the same model to resume, {_ANEW}"
        )
    if (learned := state.get("real", wanted["real"])) != wanted["real"]:
        raise OptionError(
            f"the checkpoint learned from these annotated sets: {_listed(learned)}; now there are: {_listed(wanted['real'])}; "
            f"give the same --annotated and --teach (which makes the set 'taught') to resume, {_ANEW}"
        )


def drawn_as_before(kinds: Sequence[Kind], drawn: Mapping[str, Sequence[float]]) -> tuple[Kind, ...]:
    """The kinds with their templates drawn as a checkpoint says. Raises OptionError where it says so of other templates."""
    try:
        return with_drawn(kinds, drawn)
    except ValueError as error:
        raise OptionError(
            f"the checkpoint was made with other templates than this version's ({error}); train on from its last exported model (--start) "
            "in another directory"
        ) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
