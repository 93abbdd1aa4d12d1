"""Signs that nobody sees, one definition for all who look for them; each says there which of them it leaves out. Knows no document.

The sets are insides of a class of a regular expression. All of them together are Unicode's Default_Ignorable_Code_Point
(https://www.unicode.org/reports/tr44/, DerivedCoreProperties.txt), which programs are to show as nothing at all.
"""

DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Marks of writing direction: they come along with numbers that are copied from contacts and pages, and can reorder what is shown."""

SPELLING = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff"
"""What some words are spelt with: joiners (Persian, emoji), fillers of Hangul, variation selectors and tags (emoji, rare forms of Han)."""

STRAY = "\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
"""What no word needs: soft hyphens, blanks of no width, the byte order mark, marks of shorthand and music."""

INVISIBLE = DIRECTION + SPELLING + STRAY
