"""The troubleshooting page names lines that the doctor really writes, and leaves none of them out."""

from __future__ import annotations

import re
from pathlib import Path

from seqgpt_lab.apps.doctor.card_checks import check_cards
from seqgpt_lab.apps.doctor.host_checks import Host, check_host
from seqgpt_lab.apps.doctor.nvml import read_cards
from seqgpt_lab.apps.doctor.software_checks import check_software, read_software
from seqgpt_lab.apps.doctor.torch_checks import Torch, check_torch
from seqgpt_lab.studies.rigs import Rig
from tests.apps.doctor.conftest import SimulatedNvml, split_card

PAGE = Path(__file__).resolve().parents[3] / "docs" / "troubleshooting.md"


def test_each_row_leads_to_a_line_and_each_line_has_a_row(healthy: SimulatedNvml, rig_torch: Torch, rig_host: Host, tmp_path: Path) -> None:
    rig, cards = Rig.load("dual-4090"), read_cards(healthy, tmp_path)
    (tmp_path / "libcudnn.so.8").touch()
    hidden = Torch(**{name: getattr(rig_torch, name) for name in Torch.__slots__} | {"library_path": str(tmp_path)})
    lines = [*check_cards(read_cards(SimulatedNvml(split_card()), tmp_path), None)]
    lines += [*check_cards(cards, rig), *check_torch(hidden, cards, rig), *check_host(rig_host, rig), *check_software(read_software())]
    written = {re.sub(r" \d+$", "", line.name) for line in lines}
    rows = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| symptom", "| message"))
    ]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])}
    assert len(rows) > 20 and all(row.rsplit("|", 2)[1].strip() for row in rows)
    assert named == written
