"""Imported before anything else by the program: makes its first milliseconds fewer.

msgspec asks typing_extensions for names that the standard library has had since Python 3.11, and
takes them from there when it can't be imported. Importing it would cost every command as much as
a container's start. It is hidden for that one moment only.
"""

from __future__ import annotations

import gc
import sys

gc.set_threshold(20_000, 20, 20)  # importing makes thousands of objects and no garbage


def prepare() -> None:
    """Before msgspec is imported for the first time: hide what it would import for nothing."""
    if "msgspec" not in sys.modules and "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        try:
            import msgspec  # noqa: F401 - imported for its effect on sys.modules
        finally:
            del sys.modules["typing_extensions"]
