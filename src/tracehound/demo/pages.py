"""In: what is asked and answered. Out: HTTP messages as a browser and a server of 2002 wrote them.
Never here: who asks whom (campus.py, model_case.py)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

BROWSER: Final = "Mozilla/4.0 (compatible; MSIE 5.5; Windows 98)"
APACHE: Final = "Apache/1.3.26 (Unix)"
IIS: Final = "Microsoft-IIS/5.0"

_WORDS: Final = (
    "the term begins on Monday and the library keeps its winter hours until the end of the month while the notice "
    "board lists seminars talks and the results of the chess club "
)


def get(host: str, uri: str, referer: str = "", agent: str = BROWSER, cookie: str = "", method: str = "GET") -> bytes:
    """A request as Internet Explorer writes it; `referer`, `agent` and `cookie` are left out where empty."""
    lines = [f"{method} {uri} HTTP/1.1", "Accept: */*"]
    pairs = (
        ("Referer", referer),
        ("Accept-Language", "en-nz"),
        ("User-Agent", agent),
        ("Host", host),
        ("Cookie", cookie),
    )
    lines += [f"{name}: {value}" for name, value in pairs if value]
    return ("\r\n".join([*lines, "Connection: Keep-Alive", "", ""])).encode()


def answer(
    status: int, reason: str, content_type: str, body: bytes, server: str = APACHE, more: Sequence[str] = ()
) -> bytes:
    """A response with its length."""
    lines = [
        f"HTTP/1.1 {status} {reason}",
        f"Server: {server}",
        *more,
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


@cache
def page(title: str, size: int) -> bytes:
    """An HTML page of about `size` bytes."""
    text = (_WORDS * (size // len(_WORDS) + 1))[:size]
    return (
        f"<html><head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body></html>\n".encode()
    )


@cache
def image(size: int) -> bytes:
    """A GIF of about `size` bytes: one pixel, and a comment that fills it up (GIF89a specification)."""
    pixel = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    blocks = b"".join(b"\xff" + bytes((x * 7 + size) & 0xFF for x in range(255)) for _ in range(size // 256))
    return pixel + b"!\xfe" + blocks + b"\x04" + size.to_bytes(4) + b"\0;"


def elaborate_error(status: int, reason: str) -> bytes:
    """A long, helpful error page, as the web servers of the time had them."""
    advice = "".join(
        f"<li>{line}</li>\n"
        for line in (
            "If you typed the page address in the Address bar, make sure that it is spelled correctly.",
            "Open the home page, and then look for links to the information you want.",
            "Click the Back button to try another link.",
            "Click Search to look for information on the Internet.",
        )
    )
    style = "".join(f".s{i} {{ font: {8 + i}pt/1{i}pt verdana; color: #{i:02x}0000 }}\n" for i in range(24))
    return (
        f"<html><head><title>The page cannot be found</title>\n<style>\n{style}</style></head>\n<body bgcolor=white>\n"
        f"<h1>The page cannot be found</h1>\n<p>The page you are looking for might have been removed, had its name "
        f"changed, or is temporarily unavailable.</p>\n<hr><p>Please try the following:</p>\n<ul>\n{advice}</ul>\n"
        f"<h2>HTTP {status} - {reason}</h2>\n<p>{_WORDS * 4}</p></body></html>\n"
    ).encode()


def short_error(status: int, reason: str, server: str = APACHE) -> bytes:
    return (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\nThe request could not be "
        f"served.<P>\n<HR>\n<ADDRESS>{server} Server</ADDRESS>\n</BODY></HTML>\n"
    ).encode()
