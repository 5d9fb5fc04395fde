"""The docker command language: one definition a command, for a shell and for the console's `:` line.

    tree.py        which words lead to which command (imports nothing until one is asked for)
    definition.py  what a command is: usage, flags, argument count, what runs it
    flags.py       docker's flag rules (pflag's): clusters, `=`, repeats, booleans
    language.py    words → parsed invocation → exit code; completion of half a line
    io.py          where a command reads and writes
    run.py ps.py … one file a noun: definitions beside what they do

Nothing here touches the engine's parts: everything goes through core.backend.
"""
