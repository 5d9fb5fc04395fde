"""What a person types after `/` in a list: words that must all fit, in any order.

api          somewhere in the row, upper and lower case alike
!api         nowhere in it
image=redis  in that column
~apsrv       its letters in this order (fuzzy)
/^api-\\d+/   a regular expression
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Row = Mapping[str, str]
Test = Callable[[Row], bool]


def parse_filter(text: str) -> Test | None:
    """The test that a filter's text asks for; None when it asks for nothing.

    A regular expression that is broken, or not finished yet, is taken as plain text.
    """
    tests = [_word(word) for word in text.split()]
    if not tests:
        return None
    return lambda row: all(test(row) for test in tests)


def _word(word: str) -> Test:
    if word.startswith("!") and len(word) > 1:
        inner = _word(word[1:])
        return lambda row: not inner(row)
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        try:
            pattern = re.compile(word[1:-1], re.IGNORECASE)
        except re.error:
            pass
        else:
            return lambda row: any(pattern.search(value) for value in row.values())
    if word.startswith("~") and len(word) > 1:
        fuzzy = re.compile(".*?".join(map(re.escape, word[1:])), re.IGNORECASE)
        return lambda row: any(fuzzy.search(value) for value in row.values())
    key, equals, value = word.partition("=")
    if equals and key:
        wanted = value.casefold()
        return lambda row: key in row and wanted in row[key].casefold()
    needle = word.casefold()
    return lambda row: any(needle in value.casefold() for value in row.values())
