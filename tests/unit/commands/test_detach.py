"""Leaving with a key sequence, however it is cut into reads."""

import pytest

from app.commands.detach import DetachWatch, parse_detach_keys
from core.errors import InvalidInput

P, Q = b"\x10", b"\x11"


def test_A8_keys_are_read():
    assert parse_detach_keys("ctrl-p,ctrl-q") == P + Q
    assert parse_detach_keys("a,ctrl-@,ctrl-[,ctrl-Z") == b"a\x00\x1b\x1a"
    for wrong in ("ctrl-", "ab", "", "ctrl-1"):
        with pytest.raises(InvalidInput):
            parse_detach_keys(wrong)


@pytest.mark.parametrize(
    ("reads", "passed", "left"),
    [
        ([P + Q], b"", True),
        ([P, Q], b"", True),
        ([b"ab" + P, Q + b"lost"], b"ab", True),
        ([P + b"x"], P + b"x", False),
        ([P, P, Q], P, True),
        ([P, b"x", Q], P + b"x" + Q, False),
        ([b"plain"], b"plain", False),
    ],
)
def test_A8_only_the_whole_sequence_detaches_and_nothing_else_is_lost(reads, passed, left):
    watch = DetachWatch(P + Q)
    out, done = b"", False
    for typed in reads:
        piece, done = watch.feed(typed)
        out += piece
        if done:
            break
    assert (out, done) == (passed, left)


def test_a_sequence_that_repeats_its_own_beginning():
    watch = DetachWatch(b"aab")
    assert watch.feed(b"aaab") == (b"a", True)
    watch = DetachWatch(b"aabaac")
    assert watch.feed(b"aabaabaac") == (b"aab", True)
