"""Capture bytes -> record offsets. One file a capture format; no file is opened here."""
