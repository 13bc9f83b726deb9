"""Answers of the detectors -> findings -> one verdict."""
