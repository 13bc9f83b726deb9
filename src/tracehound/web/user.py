"""In: names and passwords for the web pages. Out: them kept, listed, removed; tokens for the API. Never here: HTTP."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tracehound.cli.case import cases_folder
from tracehound.cli.group import Group
from tracehound.errors import UsageError
from tracehound.web.serve import NEEDS

if TYPE_CHECKING:
    from tracehound.web.accounts import Accounts

ROLES: Final = ("reader", "analyst", "admin")


def _parser(name: str, says: str) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog=f"tracehound {name}", description=says[:1].upper() + says[1:] + ".", allow_abbrev=False)
    p.add_argument("--cases", metavar="DIR", help="folder of cases (default: $TRACEHOUND_CASES, else ./cases)")
    return p


def _accounts(args: argparse.Namespace) -> Accounts:
    try:
        from tracehound.web.accounts import Accounts
    except ImportError as cause:
        raise UsageError(f"{NEEDS}: {cause}") from None
    return Accounts(cases_folder(args))


def add(name: str, says: str, argv: list[str]) -> int:
    p = _parser(name, says)
    p.add_argument("name", metavar="NAME", help="the user's name")
    p.add_argument("--role", choices=ROLES, default="analyst", help="what they may do (default: %(default)s)")
    args = p.parse_intermixed_args(argv)
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise UsageError("user add: the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    _accounts(args).add(args.name, password, args.role)
    print(f"{args.name}: {args.role}")
    return 0


def listed(name: str, says: str, argv: list[str]) -> int:
    args = _parser(name, says).parse_intermixed_args(argv)
    for user, role in _accounts(args).users():
        print(f"{role:<8} {user}")
    return 0


def remove(name: str, says: str, argv: list[str]) -> int:
    p = _parser(name, says)
    p.add_argument("name", metavar="NAME", help="the user's name")
    args = p.parse_intermixed_args(argv)
    if not _accounts(args).remove(args.name):
        raise UsageError(f"user remove: there is no user {args.name!r}")
    print(f"{args.name}: removed")
    return 0


def token(name: str, says: str, argv: list[str]) -> int:
    p = _parser(name, says)
    p.add_argument("name", metavar="NAME", help="whose token; changes are made in this name")
    p.add_argument("--role", choices=ROLES, default="reader", help="what it may do (default: %(default)s)")
    p.add_argument("--for", dest="says", default="", metavar="WHAT", help="what it is for")
    args = p.parse_intermixed_args(argv)
    print(_accounts(args).token(args.name, args.role, args.says))
    return 0


VERBS: Final[dict[str, Callable[[str, str, list[str]], int]]] = {"add": add, "list": listed, "remove": remove, "token": token}
GROUP: Final = Group("user", "Who may use the web pages.", {
    "add": ("tracehound.web.user", "add a user, or give one a new password (asked for, or a line of standard input)"),
    "list": ("tracehound.web.user", "list the users"),
    "remove": ("tracehound.web.user", "remove a user, with sessions and tokens"),
    "token": ("tracehound.web.user", "make a token for the API; it is shown this once"),
})  # fmt: skip


def main(argv: list[str]) -> int:
    """`tracehound user`."""
    return GROUP.run(argv)
