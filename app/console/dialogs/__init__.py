"""Questions that stand above a place: each shows the command it amounts to."""
