"""What must hold of the command language whatever a person types."""

import io as streams
import re
import shlex
import string
import tempfile
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from app.commands.completion import candidates
from app.commands.detach import DetachWatch
from app.commands.flags import flag, parse_flags
from app.commands.go_values import go_quote
from app.commands.io import Io
from app.commands.language import execute
from app.commands.screen import ScreenFilter
from app.commands.table import columns_of
from app.commands.template import Template, TemplateError
from app.commands.untar import unpack
from app.commands.wish import CREATE_FLAGS
from app.main import EngineOnDemand
from core.errors import EngineError, InvalidInput

VISIBLE_MARKS = {chr(code) for code in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)}
"""Unicode calls them format characters, but they are signs with ink."""

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLAGS = (
    flag("-i, --interactive", ""),
    flag("-t, --tty", ""),
    flag("-e, --env list", ""),
    flag("-n, --name string", ""),
)
TRUTHS = st.fixed_dictionaries({"interactive": st.booleans(), "tty": st.booleans()})


def spellings(name: str, short: str, value: str) -> st.SearchStrategy[list[str]]:
    ways = [[f"--{name}", value], [f"--{name}={value}"], [f"-{short}", value]]
    if value:
        ways.append([f"-{short}={value}"])
        if value[0] != "=":
            ways.append([f"-{short}{value}"])
    return st.sampled_from(ways)


@given(st.data(), st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=3), TRUTHS)
def test_every_spelling_of_the_same_flags_means_the_same(data, envs, others, truths):
    groups = [data.draw(spellings("env", "e", value)) for value in envs]
    for name, short in (("interactive", "i"), ("tty", "t")):
        if truths[name]:
            groups.append([data.draw(st.sampled_from([f"--{name}", f"-{short}", f"--{name}=true", f"-{short}=1"]))])
    words = [word for group in groups for word in group]
    values, rest, _ = parse_flags(FLAGS, [*words, "--", *others], interspersed=True)
    assert values.many("env") == tuple(envs)
    assert {name: values.truth(name) for name in truths} == truths
    assert rest == others


@given(st.lists(WORDS, max_size=6))
def test_parsing_ends_in_values_or_in_a_sentence(words):
    try:
        parse_flags(CREATE_FLAGS, words, interspersed=False)
    except InvalidInput:
        pass


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_no_line_ends_in_a_traceback(words):
    out, err = streams.BytesIO(), streams.BytesIO()
    code = execute(words, _Refusing(), Io(out, err, streams.BytesIO(b"")))
    assert 0 <= code <= 127
    assert code == 0 or err.getvalue()


class _Refusing(EngineOnDemand):
    """An engine that can't be opened."""

    def __init__(self) -> None:
        super().__init__("", "")

    def _open(self):
        raise EngineError("no engine here")


@given(st.text(string.ascii_lowercase + " -=/\"'", max_size=30))
def test_completion_offers_only_what_continues_the_word(line):
    try:
        typed = "" if not line or line[-1].isspace() else shlex.split(line)[-1]
    except ValueError:
        typed = None
    for word in candidates(line, _Refusing()):
        assert typed is not None
        assert word.startswith(typed)


TEMPLATE_PIECES = st.sampled_from(
    [
        *("{{", "}}", "{{-", "-}}", ".A", ".B.C", "$x", ":=", "|", "(", ")", '"s"', "`r`", "1", "-1.5", "'c'", "nil"),
        *("range", "if", "with", "else", "end", "index", "json", "len", "printf", "eq", "and", " ", "text", "\n", "/*"),
    ]
)


@given(st.lists(TEMPLATE_PIECES, max_size=12).map("".join))
def test_a_template_renders_or_is_refused(source):
    try:
        text = Template(source).render({"A": "x", "B": {"C": [1, None, {"k": True}]}})
    except TemplateError:
        return
    assert isinstance(text, str)


@given(st.text(max_size=30).filter(lambda text: "{{" not in text))
def test_text_without_actions_is_its_own_rendering(text):
    assert Template(text).render({}) == text


@given(st.text(max_size=20))
def test_quoted_text_is_one_printable_line(text):
    assert go_quote(text).isprintable()


@given(st.lists(st.binary(max_size=6), max_size=8), st.binary(min_size=1, max_size=4))
def test_A8_watching_for_keys_loses_and_invents_nothing(reads, keys):
    whole = b"".join(reads)
    watch = DetachWatch(keys)
    passed, left = b"", False
    for typed in reads:
        piece, left = watch.feed(typed)
        passed += piece
        if left:
            break
    at = whole.find(keys)
    assert left == (at >= 0)
    if left:
        assert passed == whole[:at]
    else:
        held = whole[len(passed) :]
        assert whole.startswith(passed)
        assert keys.startswith(held)
        assert len(held) < len(keys)


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_ST10_nothing_but_colour_and_line_moves_reaches_a_terminal(reads):
    screen = ScreenFilter()
    text = b"".join(screen.clean(piece) for piece in reads).decode()
    bare = re.sub(r"\x1b\[[0-9;:]*m", "", text)
    assert "\x1b" not in bare
    for letter in set(bare) - set("\n\r\t\b") - VISIBLE_MARKS:
        assert unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), (letter, text)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.text("ab", max_size=12), min_size=width, max_size=width), min_size=1, max_size=5
        )
    )
)
def test_B1_every_column_begins_where_it_does_in_the_line_above(rows):
    lines = columns_of(rows).splitlines()
    at = 0
    for column in range(len(rows[0])):
        for cells, line in zip(rows, lines, strict=True):
            assert line[at : at + len(cells[column])] == cells[column]
        at += max(10, 3 + max(len(cells[column]) for cells in rows))


@given(st.binary(max_size=2048))
def test_ST1_any_bytes_are_unpacked_or_refused(data):
    with tempfile.TemporaryDirectory() as directory:
        try:
            unpack([data], directory, rename=None, keep_owner=False)
        except EngineError:
            pass
