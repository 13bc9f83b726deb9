"""Streams and datagrams -> transactions. One file and one table a protocol; identify.py says which is tried, in order."""
