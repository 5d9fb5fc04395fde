"""What must hold of the values people write, whatever they write."""

import signal

from hypothesis import given
from hypothesis import strategies as st

from app.format import human_duration, human_size, parse_moment, rfc3339_nano
from core.errors import InvalidInput
from core.model.durations import parse_duration
from core.model.limits import parse_bytes, parse_cpus, parse_cpuset
from core.model.mounts import clean_target, parse_mount, parse_tmpfs, parse_volume
from core.model.security import parse_capability
from core.model.signals import parse_signal, signal_name

TEXT = st.text(max_size=20)


@given(TEXT)
def test_every_reader_gives_a_value_or_a_sentence(text):
    for read in (parse_bytes, parse_cpus, parse_cpuset, parse_mount, parse_tmpfs, parse_volume, parse_capability):
        try:
            read(text)
        except InvalidInput:
            pass
    parse_duration(text)
    parse_moment(text, 10**18)


@given(st.text("/.ab", max_size=20))
def test_ST1_a_cleaned_target_never_climbs(text):
    try:
        target = clean_target("/" + text)
    except InvalidInput:
        return
    assert target.startswith("/")
    assert not {".", "..", ""} & set(target.split("/")[1:])


@given(st.text("/.ab:", max_size=20))
def test_ST12_a_volume_is_named_by_a_name_or_a_path_from_the_root(text):
    try:
        spec = parse_volume(text, cwd="/cwd")
    except InvalidInput:
        return
    if spec.kind == "bind":
        assert spec.source.startswith("/")
        assert ".." not in spec.source.split("/")
    else:
        assert "/" not in spec.source


@given(st.integers(1, 64).filter(lambda number: number not in (32, 33)))
def test_A6_signals_survive_being_named(number):
    assert parse_signal(signal_name(number)) == number
    assert number in signal.valid_signals()


@given(st.sets(st.integers(0, 400), min_size=1))
def test_A15_a_cpuset_reads_back(cores):
    assert parse_cpuset(",".join(str(core) for core in sorted(cores))) == cores


@given(st.integers(0, 10**9), st.integers(1, 9))
def test_A15_cores_are_exact(billionths, decimals):
    text = f"{billionths // 10**9}.{billionths % 10**9:09d}"
    assert parse_cpus(text) == billionths


@given(st.integers(0, 2**62))
def test_sizes_are_never_longer_than_a_column(size):
    assert len(human_size(size)) <= 8


@given(st.floats(0, 1e10))
def test_B1_durations_say_something_short(seconds):
    assert 5 < len(human_duration(seconds)) <= 18


@given(st.integers(1, 2**62))
def test_B3_stamps_read_back_to_the_nanosecond(at_ns):
    assert parse_moment(rfc3339_nano(at_ns), 0) == at_ns
