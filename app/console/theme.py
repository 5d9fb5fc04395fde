"""Themes in use: one theme file becomes the console's own styles and Textual's CSS variables.

A theme names its colours by what they mean (ok, warn, fail, muted …); nothing else in the
console names a colour.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style

from app.console.theme_file import ThemeFile
from core.model.ink import BOLD, CONCEAL, DIM, ITALIC, REVERSE, STRIKE, UNDERLINE, Ink, as_rgb

if TYPE_CHECKING:
    from textual.theme import Theme


class Palette:
    """Rich styles by meaning, made once and kept."""

    def __init__(self, theme: ThemeFile) -> None:
        self.theme = theme
        self.colours = theme.colors
        self._styles: dict[tuple[str, str, str], Style] = {}
        self._inks: dict[tuple[Ink, str], Style] = {}

    def style(self, name: str = "text", on: str = "background", modifiers: str = "") -> Style:
        """A colour on another, both by meaning; modifiers as Rich writes them, such as "bold"."""
        key = (name, on, modifiers)
        found = self._styles.get(key)
        if found is None:
            found = Style(color=self.colour(name), bgcolor=self.colour(on)) + Style.parse(modifiers)
            self._styles[key] = found
        return found

    def colour(self, name: str) -> Color:
        """A colour by meaning, `series3` for a place in the series, or as a theme file spells it."""
        if name.startswith("series"):
            series = self.colours.series
            return _colour(series[int(name.removeprefix("series")) % len(series)])
        return _colour(getattr(self.colours, name, name))

    def ink(self, ink: Ink, on: str = "background") -> Style:
        """The style of text that a program coloured itself."""
        found = self._inks.get((ink, on))
        if found is None:
            found = self._ink(ink, on)
            if len(self._inks) > 5_000:
                self._inks.clear()
            self._inks[(ink, on)] = found
        return found

    def _ink(self, ink: Ink, on: str) -> Style:
        attributes = ink.attributes
        foreground = self.colour("text") if ink.foreground < 0 else _ink_colour(ink.foreground)
        background = self.colour(on) if ink.background < 0 else _ink_colour(ink.background)
        if attributes & REVERSE and not self.theme.ansi:
            foreground, background = background, foreground
        if attributes & CONCEAL:
            foreground = background
        return Style(
            color=foreground,
            bgcolor=background,
            bold=bool(attributes & BOLD),
            dim=bool(attributes & DIM),
            italic=bool(attributes & ITALIC),
            underline=bool(attributes & UNDERLINE),
            strike=bool(attributes & STRIKE),
            reverse=bool(attributes & REVERSE) and self.theme.ansi,
        )


@lru_cache(maxsize=512)
def _colour(text: str) -> Color:
    return Color.parse(text.removeprefix("ansi_") if text.startswith("ansi_") else text)


def _ink_colour(colour: int) -> Color:
    parts = as_rgb(colour)
    return Color.from_rgb(*parts) if parts else Color.from_ansi(colour)


def textual_theme(theme: ThemeFile) -> Theme:
    """The same theme as Textual's CSS wants it; our own meanings become variables."""
    from textual.theme import Theme

    colours = theme.colors
    terminal_own = {"ansi-background": "ansi_black", "ansi-foreground": "ansi_white"} if theme.ansi else {}
    meanings = {name: getattr(colours, name) for name in ("raised", "selected", "line", "muted", "faint")}
    return Theme(
        name=theme.name,
        primary=colours.accent,
        secondary=colours.io,
        warning=colours.warn,
        error=colours.fail,
        success=colours.ok,
        accent=colours.accent,
        foreground=colours.text,
        background=colours.background,
        surface=colours.surface,
        panel=colours.raised,
        dark=theme.dark,
        ansi=theme.ansi,
        variables={
            **meanings,
            **terminal_own,
            "text": colours.text,
            "text-muted": colours.muted,
            "border": colours.accent,
            "border-blurred": colours.line,
            "scrollbar": colours.line,
            "scrollbar-hover": colours.faint,
            "scrollbar-active": colours.accent,
            "scrollbar-background": colours.background,
            "scrollbar-background-hover": colours.background,
            "scrollbar-background-active": colours.background,
            "scrollbar-corner-color": colours.background,
            "input-cursor-background": colours.accent,
            "input-cursor-foreground": colours.background,
            "block-cursor-background": colours.selected,
            "block-cursor-foreground": colours.text,
        },
    )
