"""Signals and capabilities by name."""

import signal

import pytest

from core.errors import InvalidInput
from core.model.security import NAMES, parse_capability
from core.model.signals import parse_signal, signal_name


def test_A6_names_agree_with_the_kernels():
    for number in range(1, 32):
        name = signal.Signals(number).name
        assert parse_signal(name) == number
        assert parse_signal(signal_name(number)) == number
        assert parse_signal(str(number)) == number


def test_A6_real_time_signals():
    assert parse_signal("RTMIN") == signal.SIGRTMIN
    assert parse_signal("SIGRTMIN+3") == signal.SIGRTMIN + 3
    assert parse_signal("rtmax-1") == signal.SIGRTMAX - 1
    assert parse_signal(signal_name(40)) == 40


@pytest.mark.parametrize("text", ["", "FOO", "0", "32", "65", "-1", "RTMIN+99", "RTMIN+", "RTMAX+1", "9x", "SIG"])
def test_A6_what_is_no_signal(text):
    with pytest.raises(InvalidInput, match="invalid signal"):
        parse_signal(text)


def test_A13_capabilities():
    assert NAMES[21] == "SYS_ADMIN"
    assert NAMES[40] == "CHECKPOINT_RESTORE"
    assert len(NAMES) == 41
    assert parse_capability("cap_net_raw") == parse_capability("NET_RAW") == "CAP_NET_RAW"
    assert parse_capability("all") == "ALL"
    with pytest.raises(InvalidInput):
        parse_capability("CAP_ALL")
