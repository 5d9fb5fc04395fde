"""Go's templates: what people write after --format."""

import pytest

from app.commands.go_values import OpenMap, go_quote
from app.commands.template import Template, TemplateError

BOX = {
    "Id": "0123456789abcdef",
    "State": {"Running": False, "Pid": 0, "Status": "exited"},
    "Args": ["-c", "echo hi"],
    "Config": {"Labels": OpenMap({"k": "v", "a.b": "c"}), "Env": ["A=b"], "Cmd": None},
    "Mounts": [{"Name": "vol", "RW": True}, {"Name": "", "RW": False}],
    "HostConfig": {"Memory": 67108864},
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ .State.Running }}", "false"),
        ("{{.HostConfig.Memory}}", "67108864"),
        ("{{json .Config.Env}}", '["A=b"]'),
        ("{{json .Config.Cmd}}", "null"),
        ('{{index .Config.Labels "a.b"}}', "c"),
        ('{{index .Config.Labels "missing"}}', ""),
        ("{{.Config.Labels.missing}}", "<no value>"),
        ("{{.Config.Labels}}", "map[a.b:c k:v]"),
        ("{{.Args}}", "[-c echo hi]"),
        ("{{(index .Mounts 0).Name}}", "vol"),
        ("{{range .Mounts}}{{.Name}}={{.RW}};{{end}}", "vol=true;=false;"),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.RW}} {{end}}", "0true 1false "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}},{{end}}", "a.b=c,k=v,"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ('{{if .State.Running}}up{{else if eq .State.Status "exited"}}gone{{else}}?{{end}}', "gone"),
        ("{{with .State}}{{.Status}} {{$.Id}}{{end}}", "exited 0123456789abcdef"),
        ("{{with .Config.Cmd}}x{{else}}y{{end}}", "y"),
        ("{{$x := .State.Pid}}{{if not $x}}none{{end}}", "none"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("a {{- .State.Pid -}} b", "a0b"),
        ("a{{/* a }} comment */}}b", "ab"),
        ('{{printf "%-8s|%5d|%q|%v%%" "ab" 42 "x\\n" .State.Running}}', 'ab      |   42|"x\\n"|false%'),
        ('{{join .Args " "}} {{len .Args}} {{upper "x"}} {{lower "X"}} {{title "ab cd"}}', "-c echo hi 2 X x Ab Cd"),
        ('{{join (split "a:b" ":") "/"}}', "a/b"),
        ('{{truncate .Id 4}}|{{pad "x" 1 2}}|{{slice .Id 1 3}}', "0123| x  |12"),
        ("{{println .State.Pid true}}", "0 true\n"),
        ('{{.Id | printf "%.3s" | upper}}', "012"),
        (
            '{{and .State.Running "x"}} {{or .State.Running "y"}} {{ne 1 2}} {{lt 1 2}} {{ge "b" "a"}}',
            "false y true true true",
        ),
        ('{{eq .State.Status "running" "exited"}}', "true"),
        ("{{js `<a href='x'>=&\"`}}", "\\u003Ca href\\u003D\\'x\\'\\u003E\\u003D\\u0026\\\""),
        ('{{html "<a>"}} {{print 1 2 "x" 3}}', "&lt;a&gt; 1 2x3"),
        ("{{`raw \"text\"`}} {{'a'}} {{0x10}} {{1.5}} {{nil}}", 'raw "text" 97 16 1.5 <no value>'),
        ("{{.}}", None),
        ("no action", "no action"),
    ],
)
def test_B3_renders_as_go_does(source, text):
    rendered = Template(source).render(BOX)
    if text is not None:
        assert rendered == text


@pytest.mark.parametrize(
    "source",
    [
        "{{.State",
        "{{}}",
        "{{if .Id}}x",
        "{{end}}",
        "{{else}}",
        "{{nosuch .Id}}",
        "{{.Id)}}",
        "{{(.Id}}",
        '{{template "x"}}',
        "{{.Id |}}",
        '{{"open}}',
        "{{range}}{{end}}",
        "{{ ; }}",
        "{{$x = }}",
    ],
)
def test_a_template_that_can_not_be_read_is_refused(source):
    with pytest.raises(TemplateError):
        Template(source)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{{.Foo}}", 'map has no entry for key "Foo"'),
        ("{{.State.Foo.Bar}}", 'no entry for key "Foo"'),
        ("{{.Config.Cmd.X}}", "no value to take .X of"),
        ("{{.Id.X}}", "can't evaluate field X"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{index .Args 9}}", "index out of range: 9"),
        ('{{eq 1 "1"}}', "incompatible types"),
        ("{{len 3}}", "len of 3"),
        ("{{.Id 1}}", "can't give argument to non-function"),
        ("{{truncate .Id}}", "wrong arguments for truncate"),
        ("{{upper 3}}", "error calling upper"),
        ("{{range .Id}}{{end}}", "range can't iterate"),
        ('{{join .State "," 1}}', "wrong arguments for join"),
    ],
)
def test_what_is_not_there_is_named(source, part):
    with pytest.raises(TemplateError) as refusal:
        Template(source).render(BOX)
    assert part in str(refusal.value)


def test_quoting_hides_nothing_and_passes_no_control():
    assert go_quote('a"b\\\x1b[1m\n\udcff修') == '"a\\"b\\\\\\x1b[1m\\n\\xff修"'
