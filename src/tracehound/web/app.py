"""In: HTTP requests. Out: pages, their JSON twins, changes, downloads, OpenAPI. START HERE for the web.
Never here: what a page shows (pages/), who somebody is (accounts.py).

Every request passes in this order: Host header, size, session or token, form token, role, page. Every answer has a strict
Content-Security-Policy (no inline script or style, nothing from elsewhere) and nosniff; what comes out of evidence is text, or an
attachment."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from anyio import to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracehound import limits
from tracehound.edges.case_export import FORMATS, export, share
from tracehound.edges.case_intake import take
from tracehound.edges.case_rules import bundles
from tracehound.edges.case_runs import latest_run
from tracehound.errors import EvidenceError, TracehoundError, UsageError
from tracehound.report.document import fragment
from tracehound.report.visible import visible
from tracehound.version import __version__
from tracehound.web.accounts import Accounts, TooMany, User
from tracehound.web.jobs import Jobs
from tracehound.web.openapi import document
from tracehound.web.page import Action, Ask, NotFound, Page
from tracehound.web.pages import lab, overview, rows

PAGES: Final[tuple[Page, ...]] = (*overview.PAGES, *rows.PAGES, *lab.PAGES)
ACTIONS: Final[tuple[Action, ...]] = (*overview.ACTIONS, *lab.ACTIONS)
COOKIE: Final = "tracehound_session"
FORM_TOKEN: Final = "form_token"  # noqa: S105
STATIC: Final = Path(__file__).parent / "static"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""For reports of a run: self-contained pages with a style sheet of their own, shown without any right."""
SECURE: Final = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}  # fmt: skip
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class TooLarge(HTTPException):
    def __init__(self) -> None:
        super().__init__(413, f"a request has at most {limits.MAX_FORM_BYTES:,} bytes")


class Guard:
    """What no request gets around: the Host header, the size of a body, the headers of every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        host = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"host"), "")
        if self.hosts and _bare(host) not in self.hosts:
            # A name of somebody else that resolves to this machine (DNS rebinding) gets nothing.
            await Response("unknown Host\n", 400)(scope, receive, self._with_headers(send))
            return
        upload = scope["path"].endswith("/evidence") and scope["method"] == "POST"
        await self.app(scope, receive if upload else _bounded(receive), self._with_headers(send))

    @staticmethod
    def _with_headers(send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {k.lower() for k, _ in message["headers"]}
                added = {**SECURE, "Content-Security-Policy": POLICY}
                message["headers"] = [
                    *message["headers"],
                    *((k.lower().encode(), v.encode()) for k, v in added.items() if k.lower().encode() not in there),
                ]
            await send(message)

        return sent


def _bare(host: str) -> str:
    return host.rsplit(":", 1)[0].strip("[]").lower() if not host.endswith("]") else host.strip("[]").lower()


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def received() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limits.MAX_FORM_BYTES:
            raise TooLarge
        return message

    return received


class Web:
    """One server over one folder of cases.

    open_to   a user that everybody is who can reach the server: on loopback, behind the token of the start-up line"""

    def __init__(self, cases: Path, *, secure: bool = False) -> None:
        self.cases, self.secure = cases, secure
        self.accounts, self.jobs = Accounts(cases), Jobs()
        self.key = ""
        self.environment = Environment(
            loader=PackageLoader("tracehound.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self.environment.filters |= {"harmless": lambda v: visible(str(v)), "markdown": fragment, "number": lambda n: f"{n:,}"}
        self.environment.globals |= {"version": __version__, "stamp": _stamp, "formats": list(FORMATS)}

    # -- who asks --------------------------------------------------------------------------------------------------------

    def user(self, request: Request) -> User | None:
        header = request.headers.get("authorization", "")
        if header.startswith("Bearer "):
            return self.accounts.of_token(header[7:])
        secret = request.cookies.get(COOKIE, "")
        return self.accounts.of_session(secret) if secret else None

    def _need(self, request: Request, role: str) -> User:
        user = self.user(request)
        if user is None:
            raise HTTPException(401, "log in first")
        if not user.may(role):
            raise HTTPException(403, f"needs the role {role}; {user.name} is {user.role}")
        return user

    @staticmethod
    def _check_form(request: Request, user: User, form: Mapping[str, Any]) -> None:
        """A change must carry the session's form token (as a field or a header); an API token is proof by itself."""
        if not user.session:
            return
        given = str(request.headers.get("x-form-token") or form.get(FORM_TOKEN) or "")
        if not _same(given, user.form_token):
            raise HTTPException(403, "the form's token is missing or old; load the page again")

    # -- pages -----------------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, user: User) -> Ask:
        path = {k: str(v) for k, v in request.path_params.items()}
        return Ask(self.cases, user, path, dict(request.query_params), self.jobs)

    def page(self, page: Page, *, as_json: bool) -> Route:
        async def endpoint(request: Request) -> Response:
            user = self._need(request, "reader")
            data = await to_thread.run_sync(page.data, self._ask(request, user))
            if as_json:
                return JSONResponse(json.loads(json.dumps(data, default=str)))
            return await to_thread.run_sync(self.html, page.template, page.title, user, request, data)

        name = page.path if page.path != "/" else "/index"
        return Route(name + ".json" if as_json else page.path, endpoint, methods=["GET"])

    def html(self, template: str, title: str, user: User | None, request: Request, data: Mapping[str, Any], status: int = 200) -> Response:
        def here(**changed: object) -> str:
            """This page's address with some of its query changed; None takes one away."""
            query = {**dict(request.query_params), **{k.replace("__", "."): v for k, v in changed.items()}}
            return "?" + urlencode({k: v for k, v in query.items() if v is not None})

        base = request.url.path
        twin = (base if base != "/" else "/index") + ".json" + (f"?{request.url.query}" if request.url.query else "")
        text = self.environment.get_template(template).render(
            **data, page_title=title, user=user, form_token=user.form_token if user else "", here=here, twin=twin, address=base
        )
        return Response(text.encode("utf-8", "replace"), status, media_type="text/html; charset=utf-8")

    # -- changes ---------------------------------------------------------------------------------------------------------

    def action(self, action: Action, *, as_json: bool) -> Route:
        async def endpoint(request: Request) -> Response:
            user = self._need(request, action.role)
            form = await _form(request, as_json=as_json)
            self._check_form(request, user, form)
            _check_params(action, form)
            answer, address = await to_thread.run_sync(action.do, self._ask(request, user), form)
            return JSONResponse(answer, 201) if as_json else RedirectResponse(address, 303)

        return Route(action.path + ".json" if as_json else action.path, endpoint, methods=["POST"])

    # -- what is no table entry: login, evidence, downloads ---------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        if request.method == "GET":
            key = request.query_params.get("key", "")
            if self.key and key and _same(key, self.key):
                return self._begin(self.accounts.session("local", "admin"), "/")
            return self.html("login.html", "Log in", None, request, {"wrong": False, "by_key": bool(self.key)})
        form = await _form(request, as_json=False)
        place = request.client.host if request.client else ""
        user = await to_thread.run_sync(self.accounts.login, str(form.get("name", "")), str(form.get("password", "")), place)
        if user is None:
            return self.html("login.html", "Log in", None, request, {"wrong": True, "by_key": bool(self.key)}, 401)
        return self._begin(user, "/")

    def _begin(self, user: User, address: str) -> Response:
        answer = RedirectResponse(address, 303)
        answer.set_cookie(COOKIE, user.session, max_age=limits.SESSION_S, httponly=True, samesite="strict", secure=self.secure)
        return answer

    async def logout(self, request: Request) -> Response:
        user = self._need(request, "reader")
        self._check_form(request, user, await _form(request, as_json=False))
        await to_thread.run_sync(self.accounts.logout, user.session)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def upload(self, request: Request) -> Response:
        """Evidence as it comes, written to the disk, then taken into custody."""
        user = self._need(request, "analyst")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > limits.MAX_UPLOAD_BYTES:
            raise HTTPException(413, f"a file has at most {limits.MAX_UPLOAD_BYTES:,} bytes")
        try:
            form = await request.form(max_files=1, max_fields=16, max_part_size=limits.MAX_FORM_BYTES)
        except MultiPartException as cause:
            raise HTTPException(400, cause.message) from None
        self._check_form(request, user, {k: v for k, v in form.items() if isinstance(v, str)})
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise HTTPException(400, "file: no file was sent")
        ask = self._ask(request, user)
        fields = {k: v for k, v in form.items() if isinstance(v, str)}
        answer = await to_thread.run_sync(_taken, ask, file, fields)
        if request.url.path.endswith(".json"):
            return JSONResponse(answer, 201)
        return RedirectResponse(f"/cases/{ask.path['number']}", 303)

    async def evidence_file(self, request: Request) -> Response:
        """A piece of evidence as an attachment, never as a page."""
        ask = self._ask(request, self._need(request, "reader"))

        def found() -> tuple[Path, str]:
            with ask.case() as case:
                key = ask.path["evidence"]
                rows_ = case.rows("SELECT * FROM evidence WHERE evidence_id = ?", (int(key) if key.isdigit() and len(key) < 16 else -1,))
                if not rows_ or not case.evidence_path(rows_[0]).is_file():
                    raise NotFound("there is no such evidence")
                return case.evidence_path(rows_[0]), str(rows_[0]["name"])

        path, name = await to_thread.run_sync(found)
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:] or "evidence"
        return FileResponse(path, media_type="application/octet-stream", filename=safe)

    async def bundle_file(self, request: Request) -> Response:
        """A bundle of rules as an attachment."""
        ask = self._ask(request, self._need(request, "reader"))

        def found() -> Path:
            with ask.case() as case:
                for kept in bundles(case):
                    if str(kept["seq"]) == ask.path["seq"]:
                        return case.folder / str(kept["name"])
                raise NotFound("there is no such bundle")

        path = await to_thread.run_sync(found)
        return FileResponse(path, media_type="application/zip", filename=path.name)

    async def report(self, request: Request) -> Response:
        """The report of the newest run, or of run `run`: a page that needs nothing else, shown without any right."""
        ask = self._ask(request, self._need(request, "reader"))

        def found() -> Path:
            with ask.case() as case:
                latest = latest_run(case, ask.number("run", 0) or None)
                if latest is None:
                    raise NotFound("the case was not investigated yet, or there is no such run")
                return latest[1] / "report.html"

        path = await to_thread.run_sync(found)
        return FileResponse(path, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})

    async def exported(self, request: Request) -> Response:
        """The case in a format of others, as an attachment; noted in its log."""
        user = self._need(request, "analyst")
        form = await _form(request, as_json=False)
        self._check_form(request, user, form)
        ask, how = self._ask(request, user), str(form.get("format", ""))

        def made() -> tuple[bytes, str]:
            with ask.case() as case:
                data = export(case, how)
                name = f"case-{case.fact('number')}-{how}.{FORMATS[how][0]}"
                share(case, user.name, how, str(form.get("to") or "") or None, name, data)
                return data, name

        data, name = await to_thread.run_sync(made)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(document(PAGES, ACTIONS, __version__))

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        path = STATIC / name
        if "/" in name or path.suffix not in _TYPES or not path.is_file():
            raise HTTPException(404, "no such file")
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "max-age=300"})

    # -- errors ----------------------------------------------------------------------------------------------------------

    async def failed(self, request: Request, error: Exception) -> Response:
        status, says = _status(error)
        if request.url.path.endswith(".json") or "authorization" in request.headers:
            return JSONResponse({"error": says}, status)
        if status == 401 and request.method == "GET":
            return RedirectResponse("/login", 303)
        data = {"status": status, "says": says}
        headers = {"Retry-After": str(int(error.wait_s) + 1)} if isinstance(error, TooMany) else {}
        answer = self.html("error.html", "Not done", self.user(request), request, data, status)
        answer.headers.update(headers)
        return answer

    def app(self, hosts: frozenset[str] = frozenset()) -> ASGIApp:
        """The application. `hosts`: names under which it may be asked for; empty = any."""
        routes = [
            *(self.page(p, as_json=j) for p in PAGES for j in (True, False)),
            *(self.action(a, as_json=j) for a in ACTIONS for j in (True, False)),
            Route("/login", self.login, methods=["GET", "POST"]), Route("/logout", self.logout, methods=["POST"]),
            Route("/cases/{number}/evidence", self.upload, methods=["POST"]),
            Route("/cases/{number}/evidence.json", self.upload, methods=["POST"]),
            Route("/cases/{number}/evidence/{evidence}", self.evidence_file, methods=["GET"]),
            Route("/cases/{number}/files/{seq}", self.bundle_file, methods=["GET"]),
            Route("/cases/{number}/report", self.report, methods=["GET"]),
            Route("/cases/{number}/export", self.exported, methods=["POST"]),
            Route("/openapi.json", self.openapi, methods=["GET"]), Route("/static/{name}", self.static, methods=["GET"]),
        ]  # fmt: skip
        # JSON twins and longer paths first: {key} would take "x.json" for a name.
        routes.sort(key=lambda r: (not r.path.endswith(".json"), -r.path.count("/"), r.path.count("{")))
        handlers: dict[Any, Any] = {TracehoundError: self.failed, HTTPException: self.failed}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts)


def _status(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    for kind, status in ((NotFound, 404), (TooMany, 429), (UsageError, 400), (EvidenceError, 422)):
        if isinstance(error, kind):
            return status, str(error)
    return 400, str(error)


def _same(given: str, known: str) -> bool:
    """Whether two secrets are equal, in a time that says nothing of where they differ."""
    import hmac

    return bool(known) and hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(known.encode()).digest())


async def _form(request: Request, *, as_json: bool) -> dict[str, Any]:
    """A body's fields: JSON object, or a form."""
    if as_json:
        try:
            data = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is no JSON") from None
        if not isinstance(data, dict):
            raise HTTPException(400, "the body is no JSON object")
        return data
    try:
        return {k: v for k, v in (await request.form(max_files=0, max_fields=64)).items() if isinstance(v, str)}
    except MultiPartException as cause:
        raise HTTPException(400, cause.message) from None


def _check_params(action: Action, form: Mapping[str, Any]) -> None:
    """Fields are text, known, and there where they must be. Raises HTTPException."""
    for name, item in form.items():
        if name != FORM_TOKEN and name not in {p.name for p in action.params}:
            raise HTTPException(400, f"{name[:40]}: no such field; there are {', '.join(p.name for p in action.params) or 'none'}")
        if not isinstance(item, str):
            raise HTTPException(400, f"{name}: is no text")
        if "\x00" in item or any("\ud800" <= c <= "\udfff" for c in item):
            raise HTTPException(400, f"{name}: holds a character that no text has")
    for p in action.params:
        if p.required and not str(form.get(p.name) or "").strip():
            raise HTTPException(400, f"{p.name}: is missing")


def _taken(ask: Ask, file: UploadFile, fields: Mapping[str, str]) -> dict[str, Any]:
    """Move an upload below its own name into a folder of its own, and take it from there."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(file.filename or "").name)[-80:].lstrip(".") or "evidence"
    with ask.case() as case, tempfile.TemporaryDirectory(dir=case.folder, prefix=".incoming-") as folder:
        path = Path(folder) / name
        size = 0
        with path.open("wb") as out:
            while block := file.file.read(1 << 20):
                size += len(block)
                if size > limits.MAX_UPLOAD_BYTES:
                    raise HTTPException(413, f"a file has at most {limits.MAX_UPLOAD_BYTES:,} bytes")
                out.write(block)
        taken = take(case, ask.user.name, path, copy=True, note=fields.get("note") or None, host=fields.get("host") or None)
        return {"evidence_id": taken.evidence_id, "kind": taken.kind, "says": taken.says, "bytes": size}


def _stamp(ns: int | None) -> str:
    from tracehound.findings.model import rfc3339

    return "" if ns is None else rfc3339(ns)[:19].replace("T", " ") + " UTC"


def loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


