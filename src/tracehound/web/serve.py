"""In: a folder of cases and where to listen. Out: the cases served as web pages until interrupted.
Never here: a page (pages/), or what a request passes (app.py)."""

from __future__ import annotations

import argparse
import ipaddress
import secrets
import sys
from pathlib import Path
from typing import Final

from tracehound.cli import options
from tracehound.errors import UsageError

SUMMARY: Final = "Serve a folder of cases as web pages, on this machine unless told otherwise."
NEEDS: Final = "serve: needs the extra [web] (pip install 'tracehound[web]')"


def main(argv: list[str]) -> int:
    """`tracehound serve`."""
    p = options.parser("serve", SUMMARY)
    p.add_argument("cases", nargs="?", default="cases", metavar="CASES_DIR", help="folder of cases (default: cases)")
    p.add_argument("--host", default="127.0.0.1", metavar="ADDR", help="address to listen on (default: %(default)s)")
    p.add_argument("--port", type=int, default=8470, help="port (default: %(default)s; 0 takes a free one)")
    p.add_argument("--name", action="append", default=[], metavar="NAME", help="a further name that the server is asked for by")
    p.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM)")
    p.add_argument("--tls-key", metavar="FILE", help="its key (PEM)")
    p.add_argument("--no-tls", action="store_true", help="listen beyond this machine without TLS (a proxy in front has it)")
    args = p.parse_intermixed_args(argv)
    return _serve(args)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serve(args: argparse.Namespace) -> int:
    if (args.tls_cert is None) != (args.tls_key is None):
        raise UsageError("serve: --tls-cert and --tls-key go together")
    if not _loopback(args.host) and args.tls_cert is None and not args.no_tls:
        raise UsageError(f"serve: {args.host} is not this machine alone: needs --tls-cert and --tls-key (or --no-tls behind a proxy)")
    try:
        import uvicorn

        from tracehound.web.app import Web
    except ImportError as cause:
        raise UsageError(f"{NEEDS}: {cause}") from None
    web = Web(Path(args.cases), secure=args.tls_cert is not None)
    if not web.accounts.exist():
        if not _loopback(args.host):
            raise UsageError("serve: beyond this machine it needs users: tracehound user add NAME --role admin")
        web.key = secrets.token_urlsafe(24)
    names = {args.host.strip("[]").lower(), *(n.lower() for n in args.name)}
    hosts = frozenset(names | ({"localhost", "127.0.0.1", "::1"} if _loopback(args.host) else set()))
    config = uvicorn.Config(
        web.app(hosts if args.host not in ("0.0.0.0", "::") or args.name else frozenset()),  # noqa: S104
        host=args.host, port=args.port, ssl_certfile=args.tls_cert, ssl_keyfile=args.tls_key, log_level="warning", server_header=False,
        date_header=True, timeout_graceful_shutdown=3,
    )  # fmt: skip
    sockets = [config.bind_socket()]
    sockets[0].listen(config.backlog)  # who follows the address at once waits a moment and is not refused
    port = sockets[0].getsockname()[1]
    scheme = "https" if args.tls_cert else "http"
    shown = f"[{args.host}]" if ":" in args.host else args.host
    print(f"{scheme}://{shown}:{port}/login" + (f"?key={web.key}" if web.key else ""), flush=True)
    print(f"serving {Path(args.cases)} until interrupted (Ctrl-C)", file=sys.stderr)
    uvicorn.Server(config).run(sockets=sockets)
    return 0
