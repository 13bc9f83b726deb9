"""Known malware behaviour as data (one .toml a family) and the matcher that weighs it."""
