"""Property tests here are reproducible and know no deadline: the same examples in every run, on any machine."""

from hypothesis import settings

settings.register_profile("cloned", deadline=None, derandomize=True, database=None)
settings.load_profile("cloned")
