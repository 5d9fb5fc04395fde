"""Health checks: how a container is asked whether it is well, and what it answered."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput
from core.model.durations import SECOND_NS

DEFAULT_INTERVAL_NS = 30 * SECOND_NS
DEFAULT_TIMEOUT_NS = 30 * SECOND_NS
DEFAULT_START_INTERVAL_NS = 5 * SECOND_NS
DEFAULT_RETRIES = 3
_LEAST_NS = 1_000_000
_SHELL = ("/bin/sh", "-c")


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image or a person asks for; 0 (or empty) means "the other's, or the default"."""

    test: tuple[str, ...] = ()
    """`NONE`, or `CMD` and words, or `CMD-SHELL` and a line."""
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0

    @property
    def is_on(self) -> bool:
        """Whether there is anything to run."""
        return len(self.test) > 1 and self.test[0] != "NONE"

    def argv(self, shell: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The words to execute; `shell` is the image's own, if it has one."""
        if self.test[0] == "CMD-SHELL":
            return (*(shell or _SHELL), *self.test[1:])
        return self.test[1:]


class HealthResult(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. An `exit_code` of -1 is a check that could not run, or took too long."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is: health.json, written by its monitor."""

    status: str
    """starting, healthy or unhealthy"""
    failing_streak: int = 0
    started_ns: int = 0
    """Of the run it belongs to."""
    results: tuple[HealthResult, ...] = ()
    """The last five, oldest first."""


def merge_health(image: HealthCheck | None, wish: HealthCheck | None) -> HealthCheck | None:
    """A wish goes before the image's check, field by field, as docker has it."""
    if image is None or wish is None:
        return wish or image
    wished = {name: getattr(wish, name) for name in wish.__struct_fields__ if getattr(wish, name)}
    return msgspec.structs.replace(image, **wished)


def check_health(check: HealthCheck) -> None:
    """Refuse what can't be done.

    Raises: InvalidInput: with docker's words.
    """
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(check, f"{name}_ns")
        if value and value < _LEAST_NS:
            title = "".join(word.title() for word in name.split("_"))
            raise InvalidInput(f"{title} in Healthcheck cannot be less than 1ms", hint="write for example 30s")
    if check.retries < 0:
        raise InvalidInput("Retries in Healthcheck cannot be negative", hint="write 1 or more")
    if check.test and check.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidInput(
            f'Unknown type "{check.test[0]}" in Healthcheck (try CMD)', hint="NONE, CMD and CMD-SHELL are known"
        )
