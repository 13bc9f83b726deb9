"""Packets -> flows: who talked to whom, how it began, how it ended, how it fared."""
