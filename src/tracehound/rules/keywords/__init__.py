"""In: one option of a rule as text. Out: its meaning; one table of all keywords (catalog.py). Never here: matching."""
