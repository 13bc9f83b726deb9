"""In: bytes of flow logs. Out: their records as columns, and flows made of them. Never here: files, packets."""
