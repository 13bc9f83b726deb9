"""A verdict -> words: terminal text, one HTML file, JSON. Strings only; nothing is written here."""
