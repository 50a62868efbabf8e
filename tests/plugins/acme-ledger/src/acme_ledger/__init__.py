"""A kernel plugin of the tests."""
