"""Synthetic evidence, labelled as such: packets written as conversations, and the reconstruction of the model case."""
