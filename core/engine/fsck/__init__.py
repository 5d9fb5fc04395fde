"""Checking a whole data root against itself and against the kernel, and mending what can be mended.

    survey.py       reads every document once; what can't be read is noted, not raised
    contents.py     references, images, layers, blobs
    containers.py   containers, their names
    volumes.py      volumes, and containers that mount them
    networks.py     networks, who holds what of them, bridges and interfaces
    leftovers.py    what dead operations left: leases, half-made things, trash, temporary files
    host.py         run root, control groups, processes, mounts
    check.py        runs them all, twice where something was found, and mends

A check changes nothing. A repair never deletes what a person made: it writes anew what can be worked
out, makes again what can be made again, and moves the rest to damaged/ with the reason beside it.
"""
