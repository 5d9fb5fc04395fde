"""Every action as the command it stands for: what dialogs show and `y` copies."""

from __future__ import annotations

import shlex

from core.about import NAME


def command_text(*words: str) -> str:
    """A whole command, quoted for a shell: `wharf commit -m 'fix pool' api-1 shop/api:9.4`."""
    return shlex.join((NAME, *(word for word in words)))
