"""Which cards a process here may use, and of one in MIG mode which instance; judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from seqgpt_lab.apps.doctor.nvml import Card, Cards, Instance


def in_use(found: Cards, visible: str | None, order: str = "") -> dict[int, Card | Instance]:
    """By the number of each card that CUDA gives a process: the card, or the one instance of it.

    CUDA gives a process one MIG instance, the first that is named or else the first there is, and then no whole card beside it; a card in
    MIG mode without instances is no device. visible: CUDA_VISIBLE_DEVICES, None where unset, which gives all. order: CUDA_DEVICE_ORDER;
    numbers in `visible` are CUDA's own, which are NVML's for cards of one kind or in the order of the bus. Where they are not, all count
    as given.
    """
    alike = len({card.name for card in found.cards}) == 1 or order == "PCI_BUS_ID"
    given: list[tuple[int, Card | Instance]] = []
    for card, names in _named(found, visible, alike):
        if card.split:
            given += [(card.index, part) for part in card.instances if not names or part.uuid.startswith(names)]
        elif not names:
            given.append((card.index, card))
    instance = next(((index, part) for index, part in given if isinstance(part, Instance)), None)
    return {instance[0]: instance[1]} if instance else dict(given)


def used_cards(found: Cards, used: Mapping[int, Card | Instance]) -> Sequence[Card]:
    """Those of which something is in use; all where nothing is, for then something is wrong with what names them."""
    return [card for card in found.cards if card.index in used] or found.cards


def _named(found: Cards, visible: str | None, alike: bool) -> Iterator[tuple[Card, str]]:
    """Cards as `visible` names them, in its order; with the name of the instance, where it is one that is named, else without.

    As CUDA does, what comes after a name that is none is not looked at.
    """
    if visible is None:
        yield from ((card, "") for card in found.cards)
        return
    for name in (each.strip() for each in visible.split(",")):
        cards = [card for card in found.cards if _is_named(card, name)]
        if re.fullmatch(r"\+?\d+", name):
            if not alike:
                yield from ((card, "") for card in found.cards)
                return
            cards = [card for card in found.cards if card.index == int(name)]
        if not name or len(cards) != 1:
            return
        yield cards[0], name if name.startswith("MIG-") else ""


def _is_named(card: Card, name: str) -> bool:
    """Whether a name is that of the card, or of an instance of it; its beginning is enough."""
    uuids = [part.uuid for part in card.instances] if name.startswith("MIG-") else [card.uuid]
    return name.startswith(("MIG-", "GPU-")) and any(uuid.startswith(name) for uuid in uuids)
