"""Rehearsals: a call for each thing a model can do wrong, and what each cost."""
