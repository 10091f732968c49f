"""Puts calls together and keeps them alive."""
