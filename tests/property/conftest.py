"""How hard to look: `--hypothesis-profile deep` for a long search."""

from hypothesis import settings

settings.register_profile("deep", max_examples=3000, deadline=None)
settings.register_profile("default", deadline=None)
settings.load_profile("default")
