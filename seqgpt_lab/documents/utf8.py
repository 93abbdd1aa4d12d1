"""Texts that fit UTF-8: half characters (lone surrogates), which Python can hold, replaced, or escaped in a line of JSON."""

from __future__ import annotations

import json
import re

_HALF = re.compile("[\ud800-\udfff]")
# The other three end a line for some readers of JSON lines.
_UNSAFE_IN_LINES = re.compile("[\ud800-\udfff\u0085\u2028\u2029]")


def without_halves(text: str) -> str:
    """The text with U+FFFD in place of each half character: as long as it was."""
    return _HALF.sub("\ufffd", text)


def json_line(value: object) -> str:
    """`value` as JSON on one line, Chinese readable, half characters as `\\udXXX`. Raises ValueError for NaN and infinities."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNSAFE_IN_LINES.sub(lambda match: f"\\u{ord(match.group()):04x}", line)
