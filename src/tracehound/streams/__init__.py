"""Packets and flows -> ordered bytes of each direction, with gaps, and the map from byte to packet."""
