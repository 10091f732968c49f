"""Calls to a bot in virtual time, for bot authors' tests."""
