"""Runs every group of checks on this machine and finds the rig to compare with; judges nothing itself."""

from __future__ import annotations

from seqgpt_lab.apps.doctor.card_checks import check_cards
from seqgpt_lab.apps.doctor.host_checks import check_host, read_host
from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.apps.doctor.nvml import Cards, read_cards
from seqgpt_lab.apps.doctor.software_checks import check_software, read_software
from seqgpt_lab.apps.doctor.torch_checks import check_torch, read_torch
from seqgpt_lab.errors import OptionError
from seqgpt_lab.studies.rigs import Rig, rig_names


def examine(rig: str = "auto", model: str = "tiny") -> tuple[Rig | None, list[Line]]:
    """The rig compared with, and all lines. rig: a name, a file, auto or none; model: whose disk is looked at.

    Raises OptionError for an unknown rig, RigError for figures that cannot be, CheckpointError for an unknown model.
    """
    named = None if rig == "auto" else _rig(rig)  # a wrong name is said before anything slow
    cards = read_cards()  # before PyTorch takes memory on a card
    chosen = choose_rig(cards) if rig == "auto" else named
    host, torch = read_host(model), read_torch()
    return chosen, [
        *check_cards(cards, chosen, torch.cuda, torch.visible, torch.order),
        *check_torch(torch, cards, chosen),
        *check_host(host, chosen),
        *check_software(read_software()),
    ]


def choose_rig(cards: Cards) -> Rig | None:
    """The bundled rig of the cards that are here, whole ones; dual-4090 where NVIDIA cards are on the bus that say nothing; else none."""
    rigs = [Rig.load(name) for name in rig_names()]
    names = {card.name for card in cards.cards if not card.split}
    found = next((rig for rig in rigs if rig.kind == "cuda" and rig.device in names), None)
    return Rig.load("dual-4090") if found is None and cards.on_bus and not cards.cards else found


def _rig(name: str) -> Rig | None:
    """A rig by its name; `none` compares with nothing."""
    if name == "none":
        return None
    try:
        return Rig.load(name)
    except OptionError as error:
        raise OptionError(f"{error}; `auto` and `none` work too") from error
