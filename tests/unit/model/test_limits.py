"""What people write for limits."""

import pytest

from core.errors import InvalidInput
from core.model.limits import Limits, check_limits, parse_bytes, parse_cpus, parse_cpuset, parse_swap


@pytest.mark.parametrize(
    ("text", "billionths"),
    [
        ("1", 10**9),
        ("0.5", 5 * 10**8),
        (".25", 25 * 10**7),
        ("1/2", 5 * 10**8),
        ("2.000000001", 2 * 10**9 + 1),
        ("0", 0),
    ],
)
def test_A15_cores_are_read_exactly(text, billionths):
    assert parse_cpus(text) == billionths


@pytest.mark.parametrize("text", ["", "x", "-1", "1/0", "0.0000000001", "1e3", "٣", "99999999999", "1/3"])
def test_what_is_no_number_of_cores(text):
    with pytest.raises(InvalidInput):
        parse_cpus(text)


def test_A15_cpusets():
    assert parse_cpuset("0-2,5") == {0, 1, 2, 5}
    assert parse_cpuset("0") == {0}
    for wrong in ("x", "2-1", "1-", "-1", "0,,1", "0-99999999999"):
        with pytest.raises(InvalidInput):
            parse_cpuset(wrong)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8m", 8 << 20), ("8MB", 8 << 20), ("8MiB", 8 << 20), ("1.5g", 3 << 29), ("512", 512), ("1k", 1024)],
)
def test_A16_sizes(text, size):
    assert parse_bytes(text) == size
    assert parse_swap(text) == size


def test_A16_no_swap_limit():
    assert parse_swap("-1") == -1


def test_A16_contradictions():
    check_limits(Limits())
    check_limits(Limits(memory_bytes=8 << 20, memory_swap_bytes=-1, pids_limit=-1, cpu_shares=2))
    for wrong in (
        Limits(memory_bytes=1),
        Limits(memory_swap_bytes=8 << 20),
        Limits(memory_bytes=16 << 20, memory_swap_bytes=8 << 20),
        Limits(cpu_shares=-1),
        Limits(cpu_shares=300_000),
        Limits(pids_limit=-2),
        Limits(cpuset_cpus="x"),
    ):
        with pytest.raises(InvalidInput):
            check_limits(wrong)
