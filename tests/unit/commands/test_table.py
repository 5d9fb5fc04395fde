"""Column layout and --format, cell by cell as the docker CLI prints them."""

import io as streams

from app.commands.go_values import Record
from app.commands.io import Io
from app.commands.table import columns_of, row_printer

TITLES = {"ID": "CONTAINER ID", "Names": "NAMES", "Ports": "PORTS", "Image": "IMAGE"}


def rows():
    row = Record({"ID": "b59d323b9048", "Names": "w1", "Ports": "", "Image": "<none>"})
    row.hidden["Label"] = {"k": "v"}.get
    return [row]


def printed(layout: str, quiet: str = "") -> str:
    out = streams.BytesIO()
    show = row_printer(layout, table="ID Ports Names", titles=TITLES, quiet=quiet)
    show(Io(out, out), rows())
    return out.getvalue().decode()


def test_B1_columns_are_ten_wide_at_least_and_three_apart():
    assert printed("") == "CONTAINER ID   PORTS     NAMES\nb59d323b9048             w1\n"
    assert printed("table") == printed("")


def test_B1_a_table_template_finds_its_own_titles():
    assert printed('table {{.ID}}\\t{{.Names}}\\t{{.Label "k"}}\\t{{upper .Image}}') == (
        "CONTAINER ID   NAMES     k         IMAGE\nb59d323b9048   w1        v         <NONE>\n"
    )


def test_B1_json_is_sorted_and_safe_in_html():
    assert printed("json") == '{"ID":"b59d323b9048","Image":"\\u003cnone\\u003e","Names":"w1","Ports":""}\n'
    assert printed("{{json .}}") == printed("json")


def test_B1_a_template_prints_a_line_a_row():
    assert printed("{{.ID}}: {{.Names}}") == "b59d323b9048: w1\n"


def test_B1_quiet_prints_one_field_and_a_template_wins_over_it():
    assert printed("", quiet="ID") == "b59d323b9048\n"
    assert printed("{{.Names}}", quiet="ID") == "w1\n"


def test_columns_are_measured_in_neighbouring_lines_only():
    text = columns_of([["a" * 20, "x"], ["alone"], ["b", "y"]])
    assert text == "a" * 20 + "   x\nalone\nb         y\n"


def test_a_cell_can_not_forge_a_row():
    out = streams.BytesIO()
    show = row_printer("", table="ID Names", titles=TITLES)
    show(Io(out, out), [{"ID": "1", "Names": "a\nb"}])
    assert out.getvalue().decode().splitlines()[1:] == ["1              a b"]
