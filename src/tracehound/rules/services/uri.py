"""In: a request's URI as sent. Out: the URI that http.uri means: decoded and normalised as libhtp does for Suricata.
Never here: HTTP messages (http.py)."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(rb"%([0-9a-fA-F]{2})")
_ABSOLUTE: Final = re.compile(rb"^([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)")


def decoded(text: bytes) -> bytes:
    """%XX once; what is no escape stays (HTP_URL_DECODE_PRESERVE_PERCENT); `+` stays."""
    if b"%" not in text:
        return text
    return _ESCAPE.sub(lambda m: bytes((int(m.group(1), 16),)), text)


def hostname(uri: bytes) -> bytes | None:
    """The host of an absolute URI."""
    found = _ABSOLUTE.match(uri)
    return found.group(2).rpartition(b"@")[2] if found and found.group(2) else None


def without_dots(path: bytes) -> bytes:
    """RFC 3986 5.2.4 (htp_normalize_uri_path_inplace)."""
    if b"/." not in path and not path.startswith(b"."):
        return path
    out: list[bytes] = []
    parts = path.split(b"/")
    for k, part in enumerate(parts):
        if part == b".":
            if k == len(parts) - 1:
                out.append(b"")
        elif part == b"..":
            if len(out) > 1 or (out and out[0]):
                out.pop()
            if k == len(parts) - 1:
                out.append(b"")
        else:
            out.append(part)
    return b"/".join(out) or b"/"


def normalised(uri: bytes) -> bytes:
    """Path: escapes decoded, backslashes turned, separators collapsed, dot segments removed. Query: escapes decoded. Scheme
    and host of an absolute URI are left out, as is a fragment's sign kept."""
    found = _ABSOLUTE.match(uri)
    rest = uri[found.end() :] if found else uri
    main, hash_, fragment = rest.partition(b"#")
    path, mark, query = main.partition(b"?")
    path = decoded(path)
    if b"\\" in path:
        path = path.replace(b"\\", b"/")
    if b"//" in path:
        path = re.sub(rb"/{2,}", b"/", path)
    path = without_dots(path)
    if found and not path:
        path = b"/" if not mark else b""
    return path + mark + decoded(query) + hash_ + fragment
