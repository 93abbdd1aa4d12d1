"""How a message quotes what stands in a document or its file, so that a page that must not show it can tell it from the message.

Messages outlive the run that gave them: a failed run's page and the site's index show them to people who may not see the documents.
"""

from __future__ import annotations

import re
from reprlib import Repr

# Marks that hardly any document holds, so that little else is ever taken for a quotation.
_OPENING, _CLOSING = "⟪", "⟫"
# A message that was cut may have lost the closing mark: then it goes up to the end of the line, since `quoted` never breaks one.
QUOTED = re.compile(f"{_OPENING}(?P<content>[^{_OPENING}{_CLOSING}\n]+){_CLOSING}?")
_SHORTENED = Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = 60


def quoted(content: object, longest: int = 0) -> str:
    """The content on one line between marks that `QUOTED` finds, marks within it escaped; empty text as the two marks alone.

    A text stands as Python would write it, without quotation marks and with at most `longest` characters (0: all of them); anything
    else as `reprlib` shortens it.
    """
    written = repr(content)[1:-1] if isinstance(content, str) else _SHORTENED.repr(content)
    if longest and isinstance(content, str) and len(written) > longest:
        written = written[: longest - 1] + "…"
    return _OPENING + written.replace(_OPENING, r"\u27ea").replace(_CLOSING, r"\u27eb") + _CLOSING
