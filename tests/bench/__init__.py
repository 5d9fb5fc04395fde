"""Measurements beside the peers, in the same run: `python -m tests.bench`.

Times of a machine mean little elsewhere, ratios carry over: everything is measured in turns with
docker, podman and runc (and crun where it runs), and printed with its ratio. A peer that can't be
measured is named with its reason.

    measures.py    medians of interleaved runs; what was measured, as rows
    machines.py    the engines under test, each on a root of its own
    starts.py  memory.py  logs.py  archives.py  console.py    one question a file
"""
