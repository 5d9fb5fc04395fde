"""Go's text templates, as `--format` takes them.

Text, `{{…}}` actions with `-` trims and comments, pipelines, fields, variables, method calls,
`if`/`else if`/`else`, `range`, `with`, and the functions of template_functions.py. Maps are
Python dicts: a key that is missing is an error that names it, save in an OpenMap (labels and the
like), where it has no value, as in Go.

    parse ─▶ nodes: str | Action | Branch        render(nodes, data) ─▶ text
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

import msgspec

from app.commands.go_values import NIL, NO_VALUE, OpenMap, Record, go_text
from app.commands.template_functions import FUNCTIONS, is_true
from core.errors import InvalidInput


class TemplateError(InvalidInput):
    """A template that can't be read, or that asks for what is not there."""


class Term(msgspec.Struct, frozen=True):
    """A literal, a field, a variable, a function or a pipeline in brackets, and fields of it."""

    kind: str
    value: object
    fields: tuple[str, ...] = ()
    shown: str = ""


class Pipeline(msgspec.Struct, frozen=True):
    """Commands joined by `|`, and the variables that get its value."""

    commands: tuple[tuple[Term, ...], ...]
    names: tuple[str, ...] = ()
    declares: bool = False


class Action(msgspec.Struct, frozen=True):
    """`{{pipeline}}`: its value is printed, unless it is assigned."""

    pipeline: Pipeline


class Branch(msgspec.Struct, frozen=True):
    """`if`, `range` or `with`."""

    kind: str
    pipeline: Pipeline
    body: list[Node]
    other: list[Node]


Node = str | Action | Branch
Functions = dict[str, Callable[..., object]]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\\n]|\\.)*") | (?P<raw>`[^`]*`) | (?P<char>'(?:[^'\\\n]|\\.)+')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))
    | (?P<field>(?:\.[A-Za-z_]\w*)+) | (?P<dot>\.)
    | (?P<variable>\$\w*) | (?P<word>[A-Za-z_]\w*)
    | (?P<sign>:=|[=|(),])
    )""",
    re.VERBOSE,
)
_OPENING = re.compile(r"\{\{(-(?=\s))?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Template:
    """A parsed template.

    Raises: TemplateError: with the place and what is wrong.
    """

    def __init__(self, source: str) -> None:
        self._pieces = _split(source)
        self._at = 0
        self._nodes, ending = self._read_nodes()
        if ending:
            raise TemplateError(f"failed to parse template: unexpected {{{{{ending}}}}}")

    def render(self, data: object, functions: Functions = FUNCTIONS) -> str:
        """The template's text for one value."""
        return _Run(data, functions).nodes(self._nodes, data)

    def _read_nodes(self) -> tuple[list[Node], str]:
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            self._at += 1
            if not is_action:
                nodes.append(text)
                continue
            word, _, rest = text.partition(" ")
            if word in ("end", "else"):
                return nodes, text
            if word in ("if", "range", "with"):
                nodes.append(self._read_branch(word, rest))
            elif word in ("define", "template", "block", "break", "continue"):
                raise TemplateError(f"failed to parse template: {{{{{word}}}}} is not supported")
            else:
                nodes.append(Action(_Reader(text).whole()))
        return nodes, ""

    def _read_branch(self, kind: str, condition: str) -> Branch:
        pipeline = _Reader(condition).whole()
        body, ending = self._read_nodes()
        other: list[Node] = []
        word, _, rest = ending.partition(" ")
        if word == "else" and rest.strip():
            nested, _, nested_condition = rest.strip().partition(" ")
            if nested not in ("if", "with"):
                raise TemplateError(f"failed to parse template: unexpected {{{{{ending}}}}}")
            return Branch(kind, pipeline, body, [self._read_branch(nested, nested_condition)])
        if word == "else":
            other, ending = self._read_nodes()
        if ending != "end":
            raise TemplateError(f"failed to parse template: {{{{{kind}}}}} without {{{{end}}}}")
        return Branch(kind, pipeline, body, other)


def _split(source: str) -> list[tuple[bool, str]]:
    pieces: list[tuple[bool, str]] = []
    at = 0
    trim_next = False
    while True:
        opening = _OPENING.search(source, at)
        text = source[at : opening.start()] if opening else source[at:]
        if trim_next:
            text = text.lstrip()
        if opening and opening.group(1):
            text = text.rstrip()
        if text:
            pieces.append((False, text))
        if not opening:
            return pieces
        at = opening.end()
        closing = _find_closing(source, at)
        inside = source[at:closing]
        trim_next = inside.endswith("-") and inside[-2:-1].isspace()
        if trim_next:
            inside = inside[:-1]
        inside = inside.strip()
        if not inside.startswith("/*"):
            if not inside:
                raise TemplateError("failed to parse template: missing value for command")
            pieces.append((True, " ".join(inside.split("\n"))))
        at = closing + 2


def _find_closing(source: str, at: int) -> int:
    if source.startswith("/*", at) or source[at:].lstrip().startswith("/*"):
        end = source.find("*/", at)
        at = end if end >= 0 else len(source)
    while at < len(source):
        if source.startswith("}}", at):
            return at
        if source[at] in "\"'`":
            quote, at = source[at], at + 1
            while at < len(source) and source[at] != quote:
                at += 2 if source[at] == "\\" and quote != "`" else 1
        at += 1
    raise TemplateError("failed to parse template: unclosed action")


class _Reader:
    """Reads what stands inside one action."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int, int]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if not found or found.lastgroup is None:
                raise TemplateError(f"failed to parse template: unexpected {text[at:].strip()[:12]!r}")
            kind = found.lastgroup
            self._tokens.append((kind, found.group(kind), found.start(kind), found.end()))
            at = found.end()
        self._at = 0

    def whole(self) -> Pipeline:
        """The pipeline that the action consists of."""
        pipeline = self._pipeline()
        if self._at < len(self._tokens):
            self._refuse()
        return pipeline

    def _refuse(self) -> NoReturn:
        shown = self._tokens[self._at][1] if self._at < len(self._tokens) else "end"
        raise TemplateError(f"failed to parse template: unexpected <{shown}> in {{{{{self._text}}}}}")

    def _peek(self, offset: int = 0) -> tuple[str, str]:
        at = self._at + offset
        return self._tokens[at][:2] if at < len(self._tokens) else ("", "")

    def _pipeline(self) -> Pipeline:
        names: list[str] = []
        declares = False
        if self._peek()[0] == "variable":
            count = 3 if self._peek(1) == ("sign", ",") and self._peek(2)[0] == "variable" else 1
            if self._peek(count) in (("sign", ":="), ("sign", "=")):
                names = [self._peek(at)[1] for at in range(0, count, 2)]
                declares = self._peek(count)[1] == ":="
                self._at += count + 1
        commands = [self._command()]
        while self._peek() == ("sign", "|"):
            self._at += 1
            commands.append(self._command())
        return Pipeline(tuple(commands), tuple(names), declares)

    def _command(self) -> tuple[Term, ...]:
        terms: list[Term] = []
        while self._at < len(self._tokens) and self._peek() not in (("sign", "|"), ("sign", ")")):
            terms.append(self._term())
        if not terms:
            raise TemplateError("failed to parse template: missing value for command")
        return tuple(terms)

    def _term(self) -> Term:
        kind, text, start, end = self._tokens[self._at]
        self._at += 1
        value: object = None
        fields: tuple[str, ...] = ()
        match kind:
            case "string":
                kind, value = "literal", _unquote(text[1:-1])
            case "raw":
                kind, value = "literal", text[1:-1]
            case "char":
                kind, value = "literal", ord(_unquote(text[1:-1])[0])
            case "number":
                kind, value = "literal", _number(text)
            case "word" if text in ("true", "false", "nil"):
                kind, value = "literal", {"true": True, "false": False, "nil": None}[text]
            case "word":
                if text not in FUNCTIONS and text not in ("and", "or"):
                    raise TemplateError(
                        f'failed to parse template: function "{text}" not defined',
                        hint=f"there are: and, or, {', '.join(sorted(FUNCTIONS))}",
                    )
                kind, value = "function", text
            case "field":
                fields = tuple(text[1:].split("."))
            case "variable":
                value = text
            case "sign" if text == "(":
                kind, value = "brackets", self._pipeline()
                if self._peek() != ("sign", ")"):
                    self._refuse()
                end = self._tokens[self._at][3]
                self._at += 1
            case "sign":
                self._at -= 1
                self._refuse()
        if kind in ("variable", "brackets") and self._at < len(self._tokens):
            follows, chain, chain_start, chain_end = self._tokens[self._at]
            if follows == "field" and chain_start == end:
                fields, end = tuple(chain[1:].split(".")), chain_end
                self._at += 1
        return Term(kind, value, fields, self._text[start:end])


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateError(f"failed to parse template: bad number {text}") from None


def _unquote(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        letter = found.group(1)
        if letter[0] in "xuU":
            return chr(int(letter[1:], 16))
        return _ESCAPES.get(letter, letter)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U0[0-9a-fA-F]{7}|.)", replace, text)


class _Run:
    """One rendering: the variables and the walk over the nodes."""

    def __init__(self, data: object, functions: Functions) -> None:
        self._functions = functions
        self._scopes: list[dict[str, object]] = [{"$": data}]

    def nodes(self, nodes: list[Node], dot: object) -> str:
        parts: list[str] = []
        for node in nodes:
            if isinstance(node, str):
                parts.append(node)
            elif isinstance(node, Action):
                value = self._pipeline(node.pipeline, dot)
                if not node.pipeline.names:
                    parts.append(go_text(value))
            else:
                self._scopes.append({})
                parts.append(self._branch(node, dot))
                self._scopes.pop()
        return "".join(parts)

    def _branch(self, branch: Branch, dot: object) -> str:
        if branch.kind == "range":
            return self._range(branch, dot)
        value = self._pipeline(branch.pipeline, dot)
        if is_true(value):
            return self.nodes(branch.body, value if branch.kind == "with" else dot)
        return self.nodes(branch.other, dot)

    def _range(self, branch: Branch, dot: object) -> str:
        value = self._value(branch.pipeline, dot)
        pairs: list[tuple[object, object]]
        if isinstance(value, dict):
            pairs = sorted(value.items())
        elif isinstance(value, list | tuple):
            pairs = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs = [(number, number) for number in range(value)]
        elif value is None or value is NO_VALUE:
            pairs = []
        else:
            raise TemplateError(f"executing template: range can't iterate over {go_text(value)}")
        names = branch.pipeline.names
        parts: list[str] = []
        for key, element in pairs:
            if names:
                self._scopes[-1][names[-1]] = element
                if len(names) == 2:
                    self._scopes[-1][names[0]] = key
            parts.append(self.nodes(branch.body, element))
        return "".join(parts) if pairs else self.nodes(branch.other, dot)

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value = self._value(pipeline, dot)
        for name in pipeline.names:
            self._assign(name, value, pipeline.declares)
        return value

    def _value(self, pipeline: Pipeline, dot: object) -> object:
        value: object = NO_VALUE
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, [value] if number else [])
        return value

    def _assign(self, name: str, value: object, declares: bool) -> None:
        if declares:
            self._scopes[-1][name] = value
            return
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name] = value
                return
        raise TemplateError(f'undefined variable "{name}"')

    def _command(self, terms: tuple[Term, ...], dot: object, piped: list[object]) -> object:
        first = terms[0]
        if first.kind == "function":
            return self._call(str(first.value), terms[1:], dot, piped)
        value = self._term(first, dot)
        arguments = [self._term(term, dot) for term in terms[1:]] + piped
        if callable(value):
            method: Callable[..., object] = value
            try:
                return method(*arguments)
            except TypeError:
                raise TemplateError(f"executing template: wrong number of arguments for {first.shown}") from None
        if arguments:
            raise TemplateError(f"can't give argument to non-function {first.shown}")
        return value

    def _call(self, name: str, terms: tuple[Term, ...], dot: object, piped: list[object]) -> object:
        if name in ("and", "or"):
            value: object = NO_VALUE
            for term in terms:  # the first that decides it is the value; what follows is not evaluated
                value = self._term(term, dot)
                if is_true(value) == (name == "or"):
                    return value
            return piped[0] if piped else value
        arguments = [self._term(term, dot) for term in terms] + piped
        try:
            return self._functions[name](*arguments)
        except TypeError:
            raise TemplateError(f"executing template: wrong arguments for {name}") from None
        except (ValueError, KeyError, IndexError) as error:
            raise TemplateError(
                f"executing template: error calling {name}: {error.args[0] if error.args else error}"
            ) from None

    def _term(self, term: Term, dot: object) -> object:
        value: object
        match term.kind:
            case "literal":
                return term.value
            case "dot":
                return dot
            case "field":
                value = dot
            case "variable":
                value = self._variable(str(term.value))
            case "brackets":
                assert isinstance(term.value, Pipeline)
                value = self._pipeline(term.value, dot)
            case _:
                return self._call(str(term.value), (), dot, [])
        for name in term.fields:
            value = _field(value, name, term.shown)
        return value

    def _variable(self, name: str) -> object:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        raise TemplateError(f'undefined variable "{name}"')


def _field(value: object, name: str, shown: str) -> object:
    if isinstance(value, dict):
        if name in value:
            return value[name]
        if isinstance(value, Record) and name in value.hidden:
            return value.hidden[name]
        if isinstance(value, OpenMap):
            return NO_VALUE
        known = ", ".join(str(key) for key in value)
        raise TemplateError(
            f'executing template at <{shown}>: map has no entry for key "{name}"',
            hint=f"there are: {known}" if known else None,
        )
    if value is NO_VALUE or value is NIL or value is None:
        raise TemplateError(f"executing template at <{shown}>: there is no value to take .{name} of")
    raise TemplateError(f"executing template at <{shown}>: can't evaluate field {name} of {go_text(value)!r}")
