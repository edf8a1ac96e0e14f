"""A person's regular expression -> one that is sure to end soon.

`re` tries every way in which a pattern may fit and lets no other thread work meanwhile, so one pattern such as (a+)+$
could stop the whole app. The ways are counted before anything is matched.
"""

from __future__ import annotations

import re
from typing import Any

try:
    from re import _constants as codes
    from re import _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as codes
    import sre_parse as parser

from explorer.data.dataset import DataError
from explorer.host import is_public

PETS_PATTERN = r"^(.*)_\d+\.\w+$"
LONGEST = 200
NAME_LENGTH = 255
MANY = 64
"""What a repeat without an end counts for: about as many lengths as a file name has."""
MOST_WAYS = MANY**4

STARTS = (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING)
REFERENCES = (codes.GROUPREF, codes.GROUPREF_EXISTS)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The expression, with a group; raises DataError for one that is wrong, endless or not allowed here."""
    if is_public() and pattern != PETS_PATTERN:
        raise DataError("A pattern of one's own works only where the app runs on one's own machine: leave it out.")
    if len(pattern) > LONGEST:
        raise DataError(f"The pattern has {len(pattern)} characters, {LONGEST} at most will do: try {PETS_PATTERN}.")
    try:
        endless = search_ways(pattern) > MOST_WAYS
        expression = None if endless else re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"The pattern {pattern} is not a regular expression ({error}): try {PETS_PATTERN}.") from error
    if expression is None:
        raise DataError(
            f"The pattern {pattern} could search for ever: begin with ^, use up to four repeats, put no repeat or "
            f"choice into a repeat and do without back-references, as in {PETS_PATTERN}."
        )
    if not expression.groups:
        raise DataError(f"The pattern {pattern} has no group: put parentheses around the class, as in {PETS_PATTERN}.")
    return expression


def search_ways(pattern: str) -> int:
    """In how many ways a search could try to fit the pattern to a name, roughly; above MOST_WAYS only that it is."""
    tree = parser.parse(pattern)
    anchored = len(tree) > 0 and tree[0][0] is codes.AT and tree[0][1] in STARTS
    return _ways(tree) * (1 if anchored else MANY)


def _ways(tree: Any) -> int:
    """Ways of a sequence: those of its parts multiplied, those of alternatives added."""
    ways = 1
    for code, argument in tree:
        if code in REFERENCES:
            return MOST_WAYS + 1
        if code is codes.BRANCH:
            ways *= sum(_ways(alternative) for alternative in argument[1])
        elif _is_repeat(argument):
            ways *= _repeat_ways(*argument)
        elif isinstance(argument, tuple):  # a group or a look around: its sequence stands in it
            for inner in argument:
                ways *= _ways(inner) if isinstance(inner, parser.SubPattern) else 1
        elif isinstance(argument, parser.SubPattern):
            ways *= _ways(argument)
        ways = min(ways, MOST_WAYS + 1)
    return ways


def _is_repeat(argument: Any) -> bool:
    return isinstance(argument, tuple) and len(argument) == 3 and isinstance(argument[2], parser.SubPattern)


def _repeat_ways(low: int, high: int, body: Any) -> int:
    """A repeat may end after each of its rounds, and each round may go all ways of what is repeated."""
    if high > 1 and body.getwidth()[0] == 0:  # rounds that use up no character never run out of them
        return MOST_WAYS + 1
    rounds = min(int(high), MANY)
    return min(_ways(body) ** rounds * min(int(high) - int(low) + 1, MANY), MOST_WAYS + 1)
