"""The same black-box tests against wharf and against its peers: a test that docker fails is wrong.

targets.py     a command line to drive: wharf, docker or podman, each on a root of its own
__main__.py    `python -m tests.compat` runs tests/e2e/test_commands* against docker and podman
test_*.py      what crosses over: archives, texts, exit codes, side by side
"""
