"""Benches beside the peers, in one run: `python -m tests.bench [name …]`. They print ratios and assert nothing."""
