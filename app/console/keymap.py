"""Every key of the console in one table, with the words that help and key line show for it.

A person's own `console.toml` gives any binding other keys by its id (`stop = "ctrl+s"`), or
starts from a preset. The order here is the order on the key line; what does not fit there is in
the help (`?`).
"""

from __future__ import annotations

import msgspec
from textual.binding import Binding


class Key(msgspec.Struct, frozen=True):
    """One binding: its id, its keys (comma between), Textual's action, and what it does."""

    id: str
    keys: str
    action: str
    words: str
    on_line: bool = False
    """Whether the key line offers it."""


GLOBAL = (
    Key("tab1", "1", "app.tab('containers')", "Containers"),
    Key("tab2", "2", "app.tab('images')", "Images"),
    Key("tab3", "3", "app.tab('volumes')", "Volumes"),
    Key("tab4", "4", "app.tab('networks')", "Networks"),
    Key("tab5", "5", "app.tab('events')", "Events"),
    Key("tab6", "6", "app.tab('host')", "Host"),
    Key("command", "colon", "app.command_line", "command", True),
    Key("help", "question_mark,f1", "app.keys", "keys", True),
    Key("theme", "ctrl+t", "app.next_theme", "next theme"),
    Key("cancel", "X", "app.cancel_job", "cancel the newest job"),
    Key("job", "J", "app.show_job", "the newest job in full"),
    Key("dismiss", "x", "app.dismiss", "dismiss the problem line"),
    Key("why", "exclamation_mark", "app.why", "why: the problem line"),
    Key("repaint", "ctrl+l", "app.repaint", "repaint the screen"),
    Key("back", "escape", "back", "back, out of here"),
    Key("last", "minus", "app.last_place", "last place"),
    Key("quit", "q,ctrl+q", "app.leave", "quit"),
)

_LIST = (
    Key("filter", "slash", "filter", "filter", True),
    Key("mark", "space", "mark", "mark"),
    Key("mark_all", "asterisk", "mark_all", "mark all or none"),
    Key("sort", "o", "sort", "sort by the next column"),
    Key("reverse", "O", "reverse", "reverse the order"),
    Key("copy", "y", "copy_menu", "copy name, id or command"),
)

PLACES: dict[str, tuple[Key, ...]] = {
    "containers": (
        Key("open", "enter", "open", "open", True),
        Key("run", "n", "app.run_dialog", "new", True),
        Key("stop", "s", "stop", "stop/start", True),
        Key("restart", "r", "restart", "restart", True),
        Key("shell", "e", "shell", "shell", True),
        Key("logs", "l", "logs", "logs", True),
        Key("files", "f", "changes", "files changed"),
        Key("inspect", "i", "inspect", "inspect"),
        Key("processes", "t", "processes", "processes"),
        Key("why", "W", "why", "why is it so"),
        Key("reach", "P", "reach", "why can't I reach its port"),
        Key("pause", "p", "pause", "pause or thaw"),
        Key("kill", "K", "kill", "kill"),
        Key("delete", "d,delete", "delete", "delete", True),
        Key("commit", "c", "commit", "commit", True),
        Key("limits", "U", "limits", "limits"),
        Key("image", "I", "image", "its image: layers, files, what it has changed"),
        Key("rename", "R", "rename", "rename"),
        Key("cpu_base", "b", "app.cpu_base", "CPU % of a core or host"),
        *_LIST,
    ),
    "container": (
        Key("stop", "s", "stop", "stop/start", True),
        Key("restart", "r", "restart", "restart", True),
        Key("shell", "e", "shell", "shell", True),
        Key("attach", "a", "attach", "attach"),
        Key("zoom", "z", "zoom", "zoom shell", True),
        Key("logs", "l", "show('logs')", "logs", True),
        Key("stats", "m", "show('stats')", "stats", True),
        Key("processes", "t", "show('processes')", "processes", True),
        Key("files", "f", "show('changes')", "files changed"),
        Key("browse", "b", "show('files')", "files", True),
        Key("inspect", "i", "show('inspect')", "inspect", True),
        Key("why", "W", "why", "why", True),
        Key("network", "v", "show('network')", "network", True),
        Key("reach", "P", "reach", "why can't I reach its port"),
        Key("pause", "p", "pause", "pause or thaw"),
        Key("kill", "K", "kill", "kill"),
        Key("commit", "c", "commit", "commit", True),
        Key("delete", "d,delete", "delete", "delete"),
        Key("limits", "U", "limits", "limits"),
        Key("image", "I", "image", "its image: layers, files, what it has changed"),
        Key("rename", "R", "rename", "rename"),
        Key("copy", "y", "copy_menu", "copy name, id or command"),
    ),
    "merged": (),
    "images": (
        Key("open", "enter", "open", "workbench", True),
        Key("run", "n,r", "run", "run", True),
        Key("tag", "t", "tag", "tag", True),
        Key("save", "S", "save", "save", True),
        Key("load", "L", "app.load_dialog", "load", True),
        Key("pull", "P", "app.pull_dialog", "pull", True),
        Key("push", "greater_than_sign", "push", "push", True),
        Key("registries", "R", "app.registries", "registries", True),
        Key("compare", "C", "compare", "compare", True),
        Key("tree", "T", "tree", "tree or list", True),
        Key("digests", "D", "digests", "digests"),
        Key("starter", "M", "app.make_starter", "make the starter image"),
        Key("delete", "d,delete", "delete", "delete", True),
        Key("undo", "U", "undo", "bring deleted ones back"),
        *_LIST,
    ),
    "image": (
        Key("pane", "tab", "pane", "next pane", True),
        Key("pane_back", "shift+tab", "pane_back", "last pane"),
        Key("layers", "l", "show('layers')", "layers", True),
        Key("files", "f", "show('files')", "files", True),
        Key("history", "h", "show('history')", "history"),
        Key("waste", "w", "show('waste')", "waste"),
        Key("packages", "p", "show('packages')", "packages"),
        Key("inspect", "i", "show('inspect')", "inspect"),
        Key("run", "n,r", "run", "run"),
        Key("tag", "t", "tag", "tag"),
        Key("commit", "c", "commit", "commit a container of it"),
        Key("save", "S", "save", "save"),
        Key("load", "L", "app.load_dialog", "load"),
        Key("pull", "P", "app.pull_dialog", "pull"),
        Key("push", "greater_than_sign", "push", "push"),
        Key("compare", "C", "compare", "compare with another"),
        Key("squash", "z", "squash", "squash into one layer"),
        Key("sbom", "b", "sbom", "list of packages as a file"),
        Key("unpack", "u", "unpack", "unpack into a directory"),
        Key("delete", "d,delete", "delete", "delete"),
        Key("again", "ctrl+r", "again", "look again at uncommitted changes"),
        Key("copy", "y", "copy_menu", "copy name, id, path or command"),
    ),
    "compare": (
        Key("swap", "s", "swap", "swap sides", True),
        Key("again", "r", "again", "compare again"),
        Key("copy", "y", "copy_menu", "copy path or command", True),
    ),
    "registries": (
        Key("open", "enter", "open", "open", True),
        Key("pull", "P", "pull", "pull, search", True),
        Key("other", "n", "other", "another one", True),
        Key("login", "i", "login", "log in", True),
        Key("logout", "u", "logout", "log out", True),
        Key("again", "r", "again", "ask again", True),
        *_LIST,
    ),
    "repositories": (
        Key("open", "enter", "open", "tags", True),
        Key("pull", "P", "pull", "pull", True),
        Key("login", "i", "login", "log in", True),
        Key("again", "r", "again", "ask again", True),
        *_LIST,
    ),
    "tags": (
        Key("open", "enter", "open", "open", True),
        Key("pull", "P", "pull", "pull", True),
        Key("copy_to", "C", "copy_to", "copy to another registry", True),
        Key("delete", "d,delete", "delete", "delete", True),
        Key("again", "r", "again", "ask again", True),
        *_LIST,
    ),
    "manifest": (
        Key("layers", "l", "show('layers')", "layers", True),
        Key("raw", "i", "show('raw')", "raw", True),
        Key("pull", "P", "pull", "pull", True),
        Key("copy", "y", "copy_menu", "copy name, digest or command"),
    ),
    "volumes": (
        Key("open", "enter", "open", "browse", True),
        Key("new", "n", "new", "new", True),
        Key("export", "S", "export", "export", True),
        Key("import", "L", "import", "import", True),
        Key("delete", "d,delete", "delete", "delete", True),
        *_LIST,
    ),
    "volume": (Key("export", "S", "export", "export", True), Key("import", "L", "import", "import", True)),
    "transfer": (Key("other", "tab", "other", "other side", True),),
    "editor": (Key("save", "ctrl+s", "save", "save", True),),
    "networks": (
        Key("open", "enter", "open", "picture", True),
        Key("new", "n", "new", "new", True),
        Key("connect", "c", "connect", "connect", True),
        Key("disconnect", "u", "disconnect", "disconnect", True),
        Key("delete", "d,delete", "delete", "delete", True),
        *_LIST,
    ),
    "network": (
        Key("open", "enter", "open", "open a container", True),
        Key("picture", "p", "show('picture')", "picture", True),
        Key("inspect", "i", "show('inspect')", "inspect", True),
        Key("connect", "c", "connect", "connect", True),
        Key("disconnect", "u", "disconnect", "disconnect", True),
        Key("delete", "d,delete", "delete", "delete", True),
        Key("copy", "y", "copy_menu", "copy name, id or command"),
    ),
    "events": (
        Key("open", "enter", "open", "open", True),
        Key("follow", "F", "follow", "order", True),
        Key("exec", "E", "exec", "exec events", True),
        Key("why", "W", "why", "why", True),
        *_LIST,
    ),
    "host": (Key("cpu_base", "b", "app.cpu_base", "CPU % of a core or host", True),),
}

LOG_KEYS = (
    Key("log_search", "slash", "search", "search", True),
    Key("log_next", "n", "next(1)", "next hit"),
    Key("log_previous", "N", "next(-1)", "previous hit"),
    Key("log_errors", "E", "errors", "last error"),
    Key("log_follow", "F", "follow", "follow"),
    Key("log_wrap", "w", "wrap", "wrap"),
    Key("log_time", "T", "times", "times"),
    Key("log_top", "home,g", "top", "top"),
    Key("log_end", "end,G", "follow", "end"),
)

FILE_KEYS = (
    Key("file_open", "enter", "open", "open", True),
    Key("file_up", "backspace,left", "up", "up"),
    Key("file_leave", "escape", "leave", "up, out of here"),
    Key("file_filter", "slash", "filter", "filter", True),
    Key("file_find", "F", "find", "find", True),
    Key("file_edit", "E", "edit", "edit", True),
    Key("file_copy", "C", "copy", "copy to/from", True),
    Key("file_delete", "D,delete", "delete", "delete", True),
    Key("file_undo", "U", "undo", "undo", True),
    Key("file_hex", "H", "hex", "text or hex", True),
    Key("file_mark", "space", "mark", "mark"),
    Key("file_path", "y", "path", "copy the path"),
)

TREE_KEYS = (
    Key("tree_open", "enter", "open", "open", True),
    Key("tree_leave", "escape", "leave", "back, out of here"),
    Key("tree_find", "slash", "find", "find", True),
    Key("tree_all", "a", "everything", "all or changed", True),
    Key("tree_below", "e", "all_below", "open all below", True),
    Key("tree_hex", "H", "hex", "text or hex"),
    Key("tree_sort", "o", "sort", "sort"),
    Key("tree_reverse", "O", "reverse", "reverse the order"),
    Key("tree_next", "bracketright", "next_change(1)", "next change"),
    Key("tree_previous", "bracketleft", "next_change(-1)", "previous change"),
)

FILTERED_TABLE_KEYS = (
    Key("table_open", "enter", "open", "open", True),
    Key("table_filter", "slash", "filter", "find", True),
    Key("table_sort", "o", "sort", "sort by the next column", True),
    Key("table_reverse", "O", "reverse", "reverse the order"),
    Key("table_leave", "escape", "leave", "back, out of here"),
)

PRESETS: dict[str, dict[str, str]] = {
    "lazydocker": {
        "shell": "E,e",
        "logs": "m,l",
        "stop": "s",
        "restart": "r",
        "delete": "d,delete",
        "attach": "a",
    },
    "k9s": {
        "shell": "s,e",
        "stop": "ctrl+s",
        "delete": "ctrl+d,delete",
        "kill": "ctrl+k",
        "inspect": "d,i",
        "mark": "space",
        "back": "escape",
    },
}


def bindings(place: str) -> list[Binding]:
    """A place's keys as Textual wants them; ids let a person's own keymap replace them."""
    return [
        Binding(key.keys, key.action, key.words, show=key.on_line, id=f"{place}.{key.id}")
        for key in (*PLACES.get(place, ()), *(GLOBAL if place != "app" else ()))
    ]


def overrides(preset: str, own: dict[str, str]) -> dict[str, str]:
    """What a person's settings make of the table: full binding ids → keys.

    A bare id (`stop`) means it in every place that has it, `images.run` in one place only.
    """
    wanted = {**PRESETS.get(preset, {}), **own}
    result: dict[str, str] = {}
    for place, keys in PLACES.items():
        for key in (*keys, *GLOBAL):
            for name in (key.id, f"{place}.{key.id}"):
                if name in wanted:
                    result[f"{place}.{key.id}"] = wanted[name]
    return result


def display(keys: str) -> str:
    """The first of a binding's keys as the key line prints it."""
    first = keys.partition(",")[0]
    return {
        "enter": "⏎",
        "slash": "/",
        "colon": ":",
        "question_mark": "?",
        "exclamation_mark": "!",
        "asterisk": "*",
        "minus": "-",
        "greater_than_sign": ">",
        "space": "␣",
        "escape": "Esc",
        "backspace": "⌫",
        "home": "Home",
        "tab": "Tab",
        "bracketright": "]",
        "bracketleft": "[",
    }.get(first, first.replace("ctrl+", "^"))
