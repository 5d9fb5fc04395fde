"""Keys in order: what one key changes is changed before the next one is looked at.

Textual hands a key to the widget that has the focus when it is read; the key's own effect (a
dialog that opens, a prompt that takes the focus) comes some messages later. On a slow link
several keys arrive in one packet, and `:ps` would end up in three different places. Here a key
waits until the one before has gone its way: from the focused widget up to the app.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode

Result = TypeVar("Result")

_PATIENCE_S = 0.25
"""A widget that goes away with a key in hand never says so; the next key waits no longer than this."""


class OrderedKeys(App[Result]):
    """An app that gives keys one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting_keys: deque[events.Key] = deque()
        self._key_in_hand = 0
        self._is_holding = True

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._waiting_keys.append(event)
            if len(self._waiting_keys) == 1 and not self._is_holding:
                await self._give_key()
        else:
            await super().on_event(event)

    async def release_keys(self) -> None:
        """There is something on the screen for keys to act on: those typed ahead go their way now."""
        if self._is_holding:
            self._is_holding = False
            if self._waiting_keys:
                await self._give_key()

    async def _give_key(self) -> None:
        self._key_in_hand += 1
        number = self._key_in_hand
        target: DOMNode = self.focused or self.screen
        await super().on_event(self._waiting_keys[0])
        self.set_timer(_PATIENCE_S, lambda: self._key_done(number))
        self._follow(target, number, target)

    def _follow(self, node: DOMNode | None, number: int, again: DOMNode | None) -> None:
        """Go where the key goes, one message queue after the other, always behind it.

        And once again: what the key set off (a field that is submitted) takes the same way.
        """
        if node is not None and not isinstance(node, App):
            if node.call_later(self._follow, node.parent, number, again):
                return
        elif again is not None and again.call_later(self._follow, again, number, None):
            return
        self.call_later(self._key_done, number)

    async def _key_done(self, number: int) -> None:
        if number == self._key_in_hand and self._waiting_keys:
            self._waiting_keys.popleft()
            if self._waiting_keys:
                await self._give_key()
            else:
                self._key_in_hand += 1
