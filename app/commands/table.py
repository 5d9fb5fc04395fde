"""Lists: docker's column layout, and rows through `--format`.

A row is a dict of its fields, in docker's names; what a `table` template shows as a title is
found by rendering the same template over the fields' titles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.commands.io import Io

Row = dict[str, object]
"""Fields by docker's names; a Record where a field takes an argument, as .Label does."""

_PADDING = 3
_LEAST_WIDTH = 10


def columns_of(lines: Sequence[Sequence[str]], *, least: int = _LEAST_WIDTH) -> str:
    """Lay cells out in columns as Go's tabwriter does with docker's settings.

    A column is as wide as its widest cell in neighbouring lines, three blanks more, ten at
    least; a line's last cell is not padded.
    """
    if len({len(cells) for cells in lines}) == 1:  # a list: every column is one block
        columns = list(zip(*lines, strict=True))
        even = "".join(f"{{:<{max(least, max(map(len, column)) + _PADDING)}}}" for column in columns[:-1])
        even += "{}\n" if columns else "\n"
        return "".join(even.format(*cells) for cells in lines)
    widths: list[list[int]] = [[] for _ in lines]
    _measure(lines, 0, len(lines), 0, least, widths)
    out = []
    for cells, line_widths in zip(lines, widths, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(cells, line_widths, strict=False)]
        out.append("".join(padded) + (cells[-1] if cells else ""))
    return "".join(line + "\n" for line in out)


def _measure(
    lines: Sequence[Sequence[str]], begin: int, end: int, column: int, least: int, widths: list[list[int]]
) -> None:
    at = begin
    while at < end:
        if column >= len(lines[at]) - 1:
            at += 1
            continue
        first = at
        width = least
        while at < end and column < len(lines[at]) - 1:
            width = max(width, len(lines[at][column]) + _PADDING)
            at += 1
        for number in range(first, at):
            widths[number].append(width)
        _measure(lines, first, at, column + 1, least, widths)


def row_printer(
    layout: str, *, table: str, titles: dict[str, str], quiet: str = ""
) -> Callable[[Io, Iterable[Row]], None]:
    """What prints rows as `--format` asks; made first, so that a wrong template is refused early.

    Args: layout: the flag's value: empty, `table`, `json`, `table TEMPLATE` or a template.
        table: the default table's fields. titles: field → column title.
        quiet: with -q, the one field that is printed alone.
    Raises: TemplateError.
    """
    if layout in ("", "table"):
        return _fields_alone(quiet) if quiet else _plain_table(table.split(), titles)
    if layout == "json":
        return _json_lines
    from app.commands.go_values import Record
    from app.commands.template import Template
    from app.commands.template_functions import TITLE_FUNCTIONS

    is_table = layout.startswith(("table ", "table\t"))
    template = Template(layout.removeprefix("table").strip().replace("\\t", "\t").replace("\\n", "\n"))

    head = Record(titles)
    head.hidden["Label"] = lambda name: name
    template.render(head)  # every field is a text here and there: what fails on the titles fails on a row

    def print_lines(io: Io, rows: Iterable[Row]) -> None:
        for row in rows:
            io.line(template.render(row))

    def print_table(io: Io, rows: Iterable[Row]) -> None:
        lines = [template.render(head, TITLE_FUNCTIONS).split("\t")]
        lines += [_one_line(template.render(row)).split("\t") for row in rows]
        io.text(columns_of(lines))

    return print_table if is_table else print_lines


def _fields_alone(name: str) -> Callable[[Io, Iterable[Row]], None]:
    def print_fields(io: Io, rows: Iterable[Row]) -> None:
        for row in rows:
            io.line(str(row[name]))

    return print_fields


def _plain_table(names: list[str], titles: dict[str, str]) -> Callable[[Io, Iterable[Row]], None]:
    """The default table is a list of fields: no template is parsed for it."""

    def print_table(io: Io, rows: Iterable[Row]) -> None:
        lines = [[titles[name] for name in names]]
        lines += [[_one_line(str(row[name])) for name in names] for row in rows]
        io.text(columns_of(lines))

    return print_table


def _json_lines(io: Io, rows: Iterable[Row]) -> None:
    from app.commands.template_functions import row_json

    for row in rows:
        io.line(row_json(row))


def _one_line(text: str) -> str:
    return text if text.isprintable() else text.replace("\n", " ").replace("\r", " ")
