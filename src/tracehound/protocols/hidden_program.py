"""In: the first bytes of something that shows no kind. Out: the short key under which they are a Windows program, if there is one.
Never here: guessing at ciphers: only a repeated XOR key of at most 16 bytes is looked for, as loaders use it to pass filters.

Microsoft PE format, MS-DOS header: the 20 bytes e_res2 at 0x28 are zero in what linkers write, so under XOR they show the key."""

from __future__ import annotations

from typing import Final

MAX_KEY_BYTES: Final = 16
_ZEROS_FROM, _ZEROS_TO = 0x28, 0x3C
_HEAD_BYTES: Final = 0x40
_LARGEST_OFFSET: Final = 0x1000


def xor_key(head: bytes) -> bytes | None:
    """The shortest key, from the file's first byte on; None where there is none, and for what is a program as it stands."""
    if len(head) < _HEAD_BYTES:
        return None
    zeros = head[_ZEROS_FROM:_ZEROS_TO]
    for size in range(1, MAX_KEY_BYTES + 1):
        if zeros[size:] != zeros[:-size]:
            continue
        key = bytes(zeros[(at - _ZEROS_FROM) % size] for at in range(size))
        if any(key) and _is_program(head, key):
            return key
    return None


def under_xor(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """Bytes that stand at `offset` of a file, with the key taken off."""
    turn = offset % len(key)
    turned = key[turn:] + key[:turn]
    pad = (turned * (len(data) // len(key) + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")


def _is_program(head: bytes, key: bytes) -> bool:
    """MZ, the offset of the PE header at 0x3c, and that header where it is among the bytes."""
    plain = under_xor(head[: _LARGEST_OFFSET + 4], key)
    at = int.from_bytes(plain[0x3C:0x40], "little")
    if plain[:2] != b"MZ" or not _HEAD_BYTES <= at < _LARGEST_OFFSET:
        return False
    there = plain[at : at + 4]
    return len(there) < 4 or there == b"PE\0\0"
