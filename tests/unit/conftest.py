"""What all unit tests share."""

from hypothesis import settings

# The machine may be busy: an example that takes long is no fault. What failed once is tried again from the database.
settings.register_profile("unit", deadline=None, max_examples=100)
settings.load_profile("unit")
