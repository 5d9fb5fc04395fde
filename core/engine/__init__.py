"""Use cases: they compose the parts and own the order of steps; each implements a noun of the seam."""
