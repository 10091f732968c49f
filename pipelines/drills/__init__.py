"""Drills: real processes, killed, reloaded and overloaded in the middle of emulated calls, and measured."""
