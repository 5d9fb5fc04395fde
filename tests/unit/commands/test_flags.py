"""Docker's flag rules, one a test."""

import pytest

from app.commands.flags import Flag, FlagError, flag, parse_flags, refused
from core.errors import InvalidInput

FLAGS: tuple[Flag, ...] = (
    flag("-i, --interactive", ""),
    flag("-t, --tty", ""),
    flag("-d, --detach", ""),
    flag("--sig-proxy", "", default="true"),
    flag("-m, --memory bytes", ""),
    flag("-n, --last int", "", default="-1"),
    flag("--name string", ""),
    flag("-e, --env list", ""),
    flag("-h, --hostname string", ""),
    refused("-p, --publish list", "networks come later"),
    refused("--restart string", "policies come later", allowed=("no",)),
)


def parse(*words: str, interspersed: bool = True):
    return parse_flags(FLAGS, words, interspersed=interspersed)


@pytest.mark.parametrize(
    "words",
    [("-itd",), ("-i", "-t", "-d"), ("-di", "--tty"), ("--detach=true", "-ti"), ("-d=true", "-i=1", "-t=T")],
)
def test_A3_clusters_and_boolean_values_mean_the_same(words):
    values, others, _ = parse(*words)
    assert values.truth("interactive")
    assert values.truth("tty")
    assert values.truth("detach")
    assert others == []


@pytest.mark.parametrize("words", [("--name", "x"), ("--name=x",)])
def test_A4_a_name_with_and_without_an_equals_sign(words):
    values, _, _ = parse(*words)
    assert values.text("name") == "x"


@pytest.mark.parametrize("words", [("-m", "64m"), ("-m64m",), ("-m=64m",), ("--memory", "64m"), ("--memory=64m",)])
def test_every_spelling_of_a_short_flag_with_a_value(words):
    values, _, _ = parse(*words)
    assert values.size("memory") == 64 * 1024**2


def test_a_cluster_may_end_in_a_flag_with_a_value():
    values, others, _ = parse("-ite", "A=b", "image")
    assert values.many("env") == ("A=b",)
    assert values.truth("tty")
    assert others == ["image"]


def test_repeats_collect_and_the_last_of_the_others_counts():
    values, _, _ = parse("-e", "A=1", "--env=B=2", "--name", "x", "--name", "y")
    assert values.many("env") == ("A=1", "B=2")
    assert values.text("name") == "y"


def test_flags_follow_words_where_docker_lets_them():
    values, others, _ = parse("web", "--name", "x", "-i")
    assert others == ["web"]
    assert values.text("name") == "x"


def test_the_first_word_ends_the_flags_of_run():
    values, others, _ = parse("-i", "image", "ls", "-t", "--name", interspersed=False)
    assert others == ["image", "ls", "-t", "--name"]
    assert not values.truth("tty")


def test_two_dashes_end_the_flags_and_one_is_a_word():
    _, others, _ = parse("-", "--", "-i", "--name")
    assert others == ["-", "-i", "--name"]


def test_a_value_may_look_like_a_flag():
    values, _, _ = parse("--name", "-i")
    assert values.text("name") == "-i"


def test_defaults_and_a_boolean_that_is_turned_off():
    values, _, _ = parse("--sig-proxy=false")
    assert not values.truth("sig-proxy")
    values, _, _ = parse()
    assert values.truth("sig-proxy")
    assert values.number("last") == -1
    assert not values.given("sig-proxy")


def test_help_wins_unless_h_is_a_flag_of_the_command():
    assert parse("--help")[2]
    values, _, wants_help = parse("-h", "box")
    assert not wants_help
    assert values.text("hostname") == "box"
    assert parse_flags(FLAGS[:2], ["-h"], interspersed=True)[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--foo",), "unknown flag: --foo"),
        (("--foo=bar",), "unknown flag: --foo"),
        (("-x",), "unknown shorthand flag: 'x' in -x"),
        (("-itx",), "unknown shorthand flag: 'x' in -x"),
        (("--name",), "flag needs an argument: --name"),
        (("-m",), "flag needs an argument: 'm' in -m"),
        (("-im",), "flag needs an argument: 'm' in -m"),
        (("--=x",), "bad flag syntax: --=x"),
        (("-m", "zz"), 'invalid argument "zz" for "-m, --memory" flag: invalid size: \'zz\''),
        (("-n", "x"), 'invalid argument "x" for "-n, --last" flag: "x" is not a whole number'),
        (("--tty=maybe",), 'invalid argument "maybe" for "-t, --tty" flag: "maybe" is neither true nor false'),
    ],
)
def test_refusals_name_the_flag(words, message):
    with pytest.raises(FlagError) as refusal:
        parse(*words)
    assert str(refusal.value) == message


def test_what_is_not_built_yet_is_refused_with_its_reason():
    with pytest.raises(InvalidInput, match="--publish is not available yet: networks come later"):
        parse("-p", "80:80")


def test_a_refused_flag_may_ask_for_what_happens_anyway():
    parse("--restart=no")
    with pytest.raises(InvalidInput):
        parse("--restart=always")
