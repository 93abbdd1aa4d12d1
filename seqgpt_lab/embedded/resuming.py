"""What a training checkpoint says of the run that made it, and whether another run may go on from it; knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tokenizers import Tokenizer

from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.errors import OptionError

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


def check_made_alike(state: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises OptionError where a checkpoint was made with something else than `made_with` says of this run; it names what, and the fix.

    Checkpoints of earlier versions do not say which weights they began from and which sets they learned; that is not checked then.
    """
    if state["recipe"] != wanted["recipe"] or state["tokenizer"] != wanted["tokenizer"]:
        different = [name for name, value in wanted["recipe"].items() if state["recipe"].get(name) != value]
        raise OptionError(
            f"the checkpoint was made with another recipe ({', '.join(different) or 'another tokenizer'} differ); "
            f"give the same options to resume (tokens and pool_rows follow --large-batches or --small-batches), {_ANEW}"
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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
