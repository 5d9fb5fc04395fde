"""Opening a container's log as its driver wants it: the log on disk, and whoever passes it on.

local        the log on disk is all there is
json-file    passed on to a file of Docker's lines
syslog       … to a syslog daemon;  journald … to the journal
none         nothing is kept
"""

from __future__ import annotations

import errno
from typing import Any

from core.monitor.journald import Journald
from core.monitor.json_file import JsonFile
from core.monitor.log import LogWriter, NoLog, Rotation
from core.monitor.loop import Loop
from core.monitor.shipping import LogShipper, Sink
from core.monitor.syslog import Syslog


class DriverFailed(OSError):
    """A driver that could not be opened; its text says which and why."""


def open_log(loop: Loop, spec: dict[str, Any], *, is_first: bool) -> LogWriter | NoLog:
    """Open the log of a container that starts.

    Args: is_first: whether a driver that nobody answers is a failure; else it is tried again later.
    Raises: OSError: the log can't be opened. DriverFailed: what it is to be passed on to can't.
    """
    driver: dict[str, Any] = spec["log"]
    if driver["name"] == "none":
        return NoLog()
    directory = f"{spec['container_dir']}/logs"
    rotation = Rotation(int(driver["max_bytes"]), int(driver["max_files"]), bool(driver["compress"]))
    log = LogWriter(directory, rotation, loop.after)
    if driver["name"] == "local":
        return log
    try:
        sink = _sink(loop, driver, is_first)
    except OSError as error:
        log.close(durable=False)
        reason = (error.strerror or str(error)).lower()
        place = driver["address"] or driver["name"]
        if driver["name"] == "journald":
            reason = "journald is not enabled on this host: choose another --log-driver"
        else:
            reason = f"{place}: {reason}"
        text = f"failed to initialize logging driver: {reason}"
        raise DriverFailed(error.errno, text) from error
    most_behind = None if driver["is_blocking"] else int(driver["most_behind_bytes"])
    log.shipper = LogShipper(loop, directory, sink, most_behind)
    return log


def _sink(loop: Loop, driver: dict[str, Any], is_first: bool) -> Sink:
    match driver["name"]:
        case "json-file":
            return JsonFile(
                driver["path"],
                most_bytes=int(driver["file_max_bytes"]),
                most_files=int(driver["file_max_files"]),
                compress=bool(driver["file_compress"]),
                attributes=driver["attributes"],
                after=loop.after,
            )
        case "syslog":
            return Syslog(
                driver["address"],
                facility=int(driver["facility"]),
                tag=driver["tag"],
                format=driver["format"],
                must_answer=is_first,
            )
        case "journald":
            return Journald(driver["fields"], must_answer=is_first)
        case other:
            raise OSError(errno.EINVAL, f"unknown log driver {other}")
