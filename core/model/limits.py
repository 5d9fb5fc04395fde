"""What a container may take of the machine: the values, and how people write them."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput


class DeviceRate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes or operations a second, or a weight, of one disk, named by its path on the host."""

    path: str
    value: int


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resource limits; 0 (or empty) means "not set" save where -1 means "unlimited"."""

    cpu_shares: int = 0
    nano_cpus: int = 0
    """--cpus in billionths of a core."""
    cpuset_cpus: str = ""
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    """Memory and swap together, as docker counts; -1 unlimited, 0 twice the memory."""
    pids_limit: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_rt_period_us: int = 0
    cpu_rt_runtime_us: int = 0
    cpuset_mems: str = ""
    memory_reservation_bytes: int = 0
    memory_swappiness: int = -1
    """0 to 100; -1 not set."""
    kernel_memory_bytes: int = 0
    """What docker once limited by itself and no kernel does any more: kept to be shown."""
    oom_kill_disable: bool = False
    blkio_weight: int = 0
    blkio_weight_devices: tuple[DeviceRate, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}


def parse_bytes(text: str) -> int:
    """Read `512`, `64k`, `1.5g`, `10MB`, `1GiB` (binary units, as docker's flags).

    Raises: InvalidInput: with docker's words, `invalid size`.
    """
    lowered = text.strip().lower()
    number = lowered.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = lowered[len(number) :].strip()
    for ending in ("ib", "b"):
        if len(unit) > 1 and unit.endswith(ending):
            unit = unit.removesuffix(ending)
            break
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise InvalidInput(f"invalid size: '{text}'", hint="write a number and b, k, m or g, for example 64m") from None
    if not 0 <= value < 2**63:
        raise InvalidInput(f"invalid size: '{text}'", hint="write a number and b, k, m or g, for example 64m")
    return int(value)


def parse_cpus(text: str) -> int:
    """Read `--cpus`: a decimal or a fraction of cores, as billionths of a core.

    Raises: InvalidInput: not a number, negative, or finer than a billionth.
    """
    top, slash, bottom = text.partition("/")
    try:
        whole, _, decimals = top.partition(".")
        if slash:
            billionths, remainder = divmod(int(top) * 10**9, int(bottom))
        else:
            if not (whole + decimals).isdigit() or not (whole + decimals).isascii():
                raise ValueError(text)
            padded = decimals.rstrip("0").ljust(9, "0")
            billionths, remainder = int(whole or "0") * 10**9 + int(padded[:9]), int(padded[9:] or "0")
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"failed to parse {text} as a number of cores", hint="write for example 0.5 or 2") from None
    if remainder:
        raise InvalidInput("value is too precise")
    if not 0 <= billionths < 2**63:
        raise InvalidInput(f"{text} cores is out of range")
    return billionths


def parse_swap(text: str) -> int:
    """Read `--memory-swap`: a size, or -1 for no limit.

    Raises: InvalidInput: neither.
    """
    return -1 if text == "-1" else parse_bytes(text)


def parse_cpuset(text: str) -> frozenset[int]:
    """Read a list of cores or memory nodes such as `0-3,5`.

    Raises: InvalidInput: with docker's words.
    """

    def refuse() -> InvalidInput:
        return InvalidInput(f"invalid value {text} for cpuset: invalid format", hint="write for example 0-2 or 0,3")

    chosen: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not (first.isdigit() and first.isascii()) or (dash and not (last.isdigit() and last.isascii())):
            raise refuse()
        begin, end = int(first), int(last if dash else first)
        if end < begin or end > 8191:
            raise refuse()
        chosen.update(range(begin, end + 1))
    return frozenset(chosen)


LEAST_MEMORY_BYTES = 6 * 1024**2


def updated_limits(before: Limits, change: Limits) -> Limits:
    """Limits with what a change sets; what it leaves alone (0, or empty) stays, as docker has it.

    Raises: InvalidInput: with docker's words, where a change contradicts what stays.
    """
    swap = before.memory_swap_bytes or 2 * before.memory_bytes
    if change.nano_cpus and (before.cpu_period_us or before.cpu_quota_us):
        other = "Period" if before.cpu_period_us else "Quota"
        raise InvalidInput(f"Conflicting options: Nano CPUs cannot be updated as CPU {other} has already been set")
    if before.nano_cpus and (change.cpu_period_us or change.cpu_quota_us):
        other = "Period" if change.cpu_period_us else "Quota"
        raise InvalidInput(f"Conflicting options: CPU {other} cannot be updated as NanoCPUs has already been set")
    if 0 < swap < change.memory_bytes and not change.memory_swap_bytes:
        raise InvalidInput(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            hint="give --memory-swap as well",
        )
    set_fields = {
        name: value for name in change.__struct_fields__ if (value := getattr(change, name)) != getattr(Limits(), name)
    }
    if change.memory_bytes and not change.memory_swap_bytes and swap:
        set_fields["memory_swap_bytes"] = swap
    return msgspec.structs.replace(before, **set_fields)


def check_limits(limits: Limits) -> None:
    """Refuse limits that contradict each other or that no kernel takes.

    Raises: InvalidInput: with docker's words.
    """
    memory, swap = limits.memory_bytes, limits.memory_swap_bytes
    if memory and memory < LEAST_MEMORY_BYTES:
        raise InvalidInput("Minimum memory limit allowed is 6MB", hint="ask for -m 6m or more")
    if swap > 0 and not memory:
        raise InvalidInput(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
            hint="add for example -m 64m",
        )
    if 0 < swap < memory:
        raise InvalidInput(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
            hint="--memory-swap counts memory and swap together",
        )
    if limits.cpu_shares < 0 or limits.cpu_shares == 1 or limits.cpu_shares > 262144:
        raise InvalidInput(f"--cpu-shares {limits.cpu_shares} is out of range", hint="from 2 to 262144")
    if limits.pids_limit < -1:
        raise InvalidInput(f"--pids-limit {limits.pids_limit} is out of range", hint="-1 is no limit")
    _check_reservation(limits)
    _check_periods(limits)
    if not -1 <= limits.memory_swappiness <= 100:
        raise InvalidInput(f"invalid value: {limits.memory_swappiness}. Valid memory swappiness range is 0-100")
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidInput("range of blkio weight is from 10 to 1000", hint="0 leaves it alone")
    parse_cpuset(limits.cpuset_cpus)
    parse_cpuset(limits.cpuset_mems)


def _check_reservation(limits: Limits) -> None:
    reserved = limits.memory_reservation_bytes
    if reserved and reserved < LEAST_MEMORY_BYTES:
        raise InvalidInput("Minimum memory reservation allowed is 6MB", hint="ask for 6m or more")
    if 0 < limits.memory_bytes < reserved:
        raise InvalidInput(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
            hint="reserve less, or give -m more",
        )


def _check_periods(limits: Limits) -> None:
    if limits.nano_cpus and (limits.cpu_period_us or limits.cpu_quota_us):
        other = "Period" if limits.cpu_period_us else "Quota"
        raise InvalidInput(f"conflicting options: Nano CPUs and CPU {other} cannot both be set", hint="choose one")
    if limits.cpu_period_us and not 1000 <= limits.cpu_period_us <= 1_000_000:
        raise InvalidInput("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if limits.cpu_quota_us > 0 and limits.cpu_quota_us < 1000:
        raise InvalidInput("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    period, runtime = limits.cpu_rt_period_us, limits.cpu_rt_runtime_us
    if period < 0 or (period and runtime > period):
        raise InvalidInput("cpu real-time runtime cannot be higher than cpu real-time period")


def limit_warnings(limits: Limits) -> tuple[str, ...]:
    """What a person should know of limits that are taken as they are. Docker's words."""
    found = []
    if limits.oom_kill_disable and not limits.memory_bytes:
        found.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    if limits.kernel_memory_bytes:
        found.append("A kernel memory limit is no longer known to any kernel. Limitation discarded.")
    return tuple(found)
