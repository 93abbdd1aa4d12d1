"""Tables as text for a terminal; knows nothing of what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqgpt_lab.apps.console import visible

if TYPE_CHECKING:
    import pandas


def frame_text(frame: pandas.DataFrame) -> str:
    """The whole frame as text in columns, Chinese characters counted as two columns wide."""
    import pandas

    with pandas.option_context("display.unicode.east_asian_width", True, "display.width", None, "display.max_colwidth", None):
        return frame.map(lambda value: visible(value) if isinstance(value, str) else value).to_string(
            index=False, float_format=lambda number: f"{number:.3f}"
        )
