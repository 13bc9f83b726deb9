"""In: requests to the web pages. Out: pages and their twins, changes, and what is refused. Never here: a browser (test_browser.py)."""

import base64
import gzip
import html
import re
import time

import pytest

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from tests.cli.test_case import HOST, scan
from tracehound import limits
from tracehound.cli.main import run
from tracehound.demo.wire import Wire
from tracehound.edges.casefile import Case, find_case
from tracehound.errors import UsageError
from tracehound.web.accounts import Accounts, TooMany
from tracehound.web.app import ACTIONS, COOKIE, PAGES, Web
from tracehound.web.openapi import document
from tracehound.web.serve import main as serve

HOSTILE = "<script>alert(1)</script>"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "cases"
    named = ["--cases", str(folder), "--as", "ann"]
    assert run(["case", "new", f"Strange {HOSTILE}", "--host", HOST, *named]) == 0
    capture, listing, mail = (folder.parent / n for n in ("scan.pcap", "body.txt", "mail.eml"))
    capture.write_bytes(scan())
    listing.write_text("0|/WINDOWS/taskbar.exe|1|r/r|0|0|49152|1028219500|1028219400|1028219400|1028219400\n")
    mail.write_text(f"From: a@b\nMessage-ID: <1@b>\nDate: Thu, 1 Aug 2002 17:00:00 +0000\nSubject: {HOSTILE}\n\n{HOSTILE} {HOST}\n")
    assert run(["case", "add", "1", str(capture), str(listing), str(mail), "--copy", *named]) == 0
    assert run(["case", "run", "1", "-q", *named]) == 0
    accounts = Accounts(folder)
    for role in ("reader", "analyst", "admin"):
        accounts.add(role, PASSWORD, role)
    return folder


@pytest.fixture
def web(cases):
    return Web(cases)


def client(web, role="analyst", hosts=frozenset({"testserver"})):
    made = TestClient(web.app(hosts), base_url="http://testserver", follow_redirects=False)
    if role:
        answer = made.post("/login", data={"name": role, "password": PASSWORD})
        assert answer.status_code == 303
    return made


def token(client, path="/cases/1"):
    found = re.search(r'name="form_token" value="(\w+)"', client.get(path).text)
    assert found is not None
    return found[1]


def address(page, json=False):
    path = page.path.replace("{number}", "1").replace("{table}", "flows").replace("{key}", "1")
    return (path if path != "/" else "/index") + ".json" if json else path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_every_page_has_a_twin_with_the_same_data_and_no_evidence_as_markup(web, page):
    c = client(web)
    html, twin = c.get(address(page)), c.get(address(page, json=True))
    assert (html.status_code, twin.status_code) == (200, 200)
    assert HOSTILE not in html.text
    assert html.text.count("<h1>") == 1
    assert 'lang="en"' in html.text
    assert "<main" in html.text
    assert isinstance(twin.json(), dict)
    assert "unsafe" not in html.headers["content-security-policy"]
    assert html.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<[^>]+\son\w+=|<style|style=", html.text)
    assert not re.findall(r"<script(?! src=\"/static/app\.js\" defer>)", html.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.path)
def test_nothing_is_shown_to_who_did_not_log_in(web, page):
    c = client(web, role=None)
    assert c.get(address(page)).headers["location"] == "/login"
    assert c.get(address(page, json=True)).status_code == 401


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.path)
def test_no_change_without_role_or_form_token(web, action):
    path = action.path.replace("{number}", "1")
    before = len(list(Case(find_case(web.cases, "1")).entries()))
    assert client(web, role=None).post(path, data={}).status_code in (401, 403)
    assert client(web, role="reader").post(path, data={}).status_code == 403
    assert client(web).post(path, data={}).status_code == 403
    assert client(web).post(path + ".json", json={}, headers={"x-form-token": "0" * 64}).status_code == 403
    assert len(list(Case(find_case(web.cases, "1")).entries())) == before


def test_a_change_is_an_entry_of_the_log(web):
    c = client(web)
    answer = c.post("/cases/1/note", data={"text": f"**seen** {HOSTILE}", "form_token": token(c)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases/1/words")
    page = c.get("/cases/1/words").text
    assert "<strong>seen</strong>" in page
    assert HOSTILE not in page
    made = c.post("/cases/1/task.json", json={"text": "call"}, headers={"x-form-token": token(c)})
    assert made.status_code == 201
    assert c.get("/cases/1/log.json").json()["log"][0]["seq"] == made.json()["entry"]
    assert c.get("/cases/1/custody.json").json()["holds"]


def test_a_token_of_the_api_needs_no_form_token_and_has_its_own_role(web, cases):
    reader, analyst = (Accounts(cases).token("robot", role, "test") for role in ("reader", "analyst"))
    c = client(web, role=None)
    assert c.get("/cases/1.json", headers={"authorization": f"Bearer {reader}"}).status_code == 200
    for secret, status in ((reader, 403), (analyst, 201), ("th_wrong", 401)):
        got = c.post("/cases/1/tag.json", json={"tag": "worm"}, headers={"authorization": f"Bearer {secret}"})
        assert got.status_code == status
    entry = list(Case(find_case(cases, "1")).entries())[-1]
    assert (entry.who, entry.action) == ("robot", "tag")


@pytest.mark.parametrize(
    ("path", "form", "why"),
    [
        ("/cases/1/status", {"status": "contained"}, "cannot become"),
        ("/cases/1/note", {"text": " "}, "is missing"),
        ("/cases/1/note", {"text": "x", "more": "y"}, "no such field"),
        ("/cases/1/technique", {"technique": "X"}, "ATT&amp;CK"),
        ("/cases/1/weigh", {"hypothesis_id": "9" * 30, "item": "a", "mark": "C", "reason": "b"}, "no hypothesis"),
        ("/cases/9/note", {"text": "x"}, "no case 9"),
        ("/cases", {"title": "x", "host": "nowhere"}, "no address"),
    ],
)
def test_what_does_not_fit_is_said(web, path, form, why):
    c = client(web)
    answer = c.post(path, data={**form, "form_token": token(c)})
    assert answer.status_code in (400, 404)
    assert why in answer.text


RULE = 'alert tcp any any -> any any (msg:"web"; flow:to_server; flags:S; sid:1000001;)'


def ended(web, number="1", seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(j.ended_ns is None for j in web.jobs.of(number)):
        time.sleep(0.1)
    return web.jobs.of(number)[0]


def test_rules_are_tested_on_the_cases_captures_and_kept(web):
    c = client(web)
    form = {"rule": RULE, "flows": f"src = '{HOST}'", "form_token": token(c)}
    begun = c.post("/cases/1/lab/test", data=form)
    assert (begun.status_code, begun.headers["location"]) == (303, "/cases/1/lab")
    job = ended(web)
    assert (job.state, job.answer.split(",")[0].split(":")[0]) == ("done", "sid 1000001"), job.answer
    page, twin = c.get("/cases/1/lab").text, c.get("/cases/1/lab.json").json()
    rule = twin["result"]["rules"][0]
    assert (rule["hit"], rule["malicious"] > 0) == (rule["malicious"], True)
    assert "frame" in twin["result"]["explained"]["1000001"]
    assert RULE in html.unescape(page)
    assert twin["kept"][0]["origin"] == "tested"
    c.post("/cases/1/lab/bundle", data={"form_token": token(c)})
    assert ended(web).state == "done", ended(web).answer
    (made,) = c.get("/cases/1/lab.json").json()["bundles"]
    got = c.get(f"/cases/1/files/{made['seq']}")
    assert (got.headers["content-type"], got.content[:2]) == ("application/zip", b"PK")
    assert got.headers["content-disposition"].startswith("attachment")
    assert c.get("/cases/1/files/1").status_code == 404
    assert c.get("/cases/1/custody.json").json()["holds"]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"rule": "alert nothing"}, "rule"),
        ({"rule": RULE, "flows": "DROP TABLE flows"}, "SQL"),
        ({"rule": RULE, "flows": "dport = 1"}, "no flow"),
    ],
)
def test_rules_that_cannot_be_tested_say_why(web, form, why):
    c = client(web)
    assert c.post("/cases/1/lab/test.json", json=form, headers={"x-form-token": token(c)}).status_code == 201
    job = ended(web)
    assert job.state == "failed"
    assert why in job.answer
    assert why in c.get("/cases/1/lab").text


def test_a_rule_that_takes_too_long_is_ended(web, monkeypatch):
    monkeypatch.setattr(limits, "RULE_TRIAL_S", 0)
    c = client(web)
    c.post("/cases/1/lab/draft.json", json={}, headers={"x-form-token": token(c)})
    job = ended(web)
    assert (job.state, "took longer" in job.answer) == ("failed", True)


def test_evidence_comes_as_upload_and_goes_as_attachment(web):
    c = client(web)
    name = f"../../{HOSTILE}.html"
    sent = c.post("/cases/1/evidence.json", data={"form_token": token(c)}, files={"file": (name, b"<h1>not a page</h1>", "text/html")})
    assert sent.status_code == 201
    got = c.get(f"/cases/1/evidence/{sent.json()['evidence_id']}")
    assert (got.content, got.headers["content-type"]) == (b"<h1>not a page</h1>", "application/octet-stream")
    assert got.headers["content-disposition"].startswith("attachment")
    assert c.get("/cases/1/evidence/999").status_code == 404
    assert not list(find_case(web.cases, "1").glob(".incoming-*"))
    assert client(web, role="reader").post("/cases/1/evidence", files={"file": ("x", b"y")}).status_code == 403


def test_the_report_is_shown_without_any_right(web):
    answer = client(web).get("/cases/1/report")
    assert answer.status_code == 200
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("form", ["stix", "csv", "management"])
def test_an_export_is_an_attachment_and_noted(web, form):
    c = client(web)
    answer = c.post("/cases/1/export", data={"format": form, "to": "CERT", "form_token": token(c)})
    assert answer.headers["content-disposition"].startswith("attachment")
    assert c.get("/cases/1/log.json").json()["log"][0]["action"] == "share"
    assert c.post("/cases/1/export", data={"format": "exe", "form_token": token(c)}).status_code == 400


def test_tables_are_sorted_filtered_and_paged_by_the_server(web):
    c = client(web)
    whole = c.get("/cases/1/tables/flows.json?size=100").json()
    assert whole["total"] == 59
    names = [x["name"] for x in whole["columns"]]
    dst = names.index("dst")
    page = c.get("/cases/1/tables/flows.json?sort=dst&order=desc&size=5&offset=5").json()
    every = sorted((r[dst] for r in whole["rows"]), reverse=True)
    assert [r[dst] for r in page["rows"]] == every[5:10]
    behind = c.get(f"/cases/1/tables/flows.json?sort=dst&order=desc&size=5&after={page['places'][-1]}").json()
    assert [r[dst] for r in behind["rows"]] == every[10:15]
    assert c.get("/cases/1/tables/flows.json?sort=dst&size=5&before=end").json()["offset"] == 55
    narrow = c.get("/cases/1/tables/flows.json?columns=dst,%20src").json()
    assert [x["name"] for x in narrow["columns"]] == ["dst", "src"]
    assert len(c.get("/cases/1/tables/flows.json?columns=*").json()["columns"]) == len(narrow["all_columns"]) > len(whole["columns"])
    assert c.get("/cases/1/tables/flows.json?dst.eq=198.51.100.7").json()["total"] == 1
    assert c.get("/cases/1/tables/flows.json?dport.ge=446").json()["total"] == 0
    assert c.get("/cases/1/tables/flows.json?dst.has=.7").json()["total"] == 1
    for wrong in ("sort=nothing", "dport.eq=x", "no.eq=1", "dst.like=x", "size=0", "size=99999", "offset=-1", "offset=1e9",
                  "after=x", "before=x", "sort=dst&after=999999", "columns=nothing"):
        assert c.get(f"/cases/1/tables/flows.json?{wrong}").status_code == 400, wrong
    assert c.get("/cases/1/tables/sqlite_master.json").status_code == 404
    row = c.get("/cases/1/tables/flows/1.json").json()
    assert {f["name"] for f in row["fields"]} >= {"src", "history"}
    for key in ("0", "x", "9" * 30, "-1"):
        assert c.get(f"/cases/1/tables/flows/{key}.json").status_code == 404


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM read_csv('/etc/passwd')", "SELECT 1; DROP TABLE flows", "COPY flows TO '/x'", "SET memory_limit = '1GB'", "ATTACH 'x'",
     "SELECT getenv('HOME')", "SELECT * FROM read_text('/etc/hostname')", "INSTALL httpfs", "nonsense"],
)  # fmt: skip
def test_sql_of_users_reaches_nothing_but_the_tables(web, statement):
    assert client(web).get("/cases/1/sql.json", params={"q": statement}).status_code == 400


def test_sql_answers_and_is_bounded(web, monkeypatch):
    c = client(web)
    assert c.get("/cases/1/sql.json", params={"q": "SELECT count(*) AS n FROM flows;"}).json()["rows"] == [[59]]
    cut = c.get("/cases/1/sql.json", params={"q": "SELECT * FROM range(20000)"}).json()
    assert (len(cut["rows"]), cut["cut"]) == (10_000, True)
    monkeypatch.setattr("tracehound.web.pages.rows.limits.SQL_TIME_S", 0.3)
    monkeypatch.setattr("tracehound.web.pages.rows.bounded.__defaults__", (None, 0.3))
    slow = c.get("/cases/1/sql.json", params={"q": "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b"})
    assert slow.status_code == 400
    assert "took longer" in slow.json()["error"]


def test_who_guesses_passwords_is_stopped_and_learns_nothing(tmp_path):
    accounts = Accounts(tmp_path)
    accounts.add("ann", PASSWORD, "analyst")
    for _ in range(8):
        assert accounts.login("ann", "wrong", "10.0.0.1") is None
    with pytest.raises(TooMany):
        accounts.login("ann", PASSWORD, "10.0.0.2")
    with pytest.raises(TooMany):
        accounts.login("nobody", "wrong", "10.0.0.1")
    assert accounts.login("nobody", "wrong", "10.0.0.3") is None
    kept = (tmp_path / "accounts.sqlite").read_bytes()
    assert PASSWORD.encode() not in kept
    assert (tmp_path / "accounts.sqlite").stat().st_mode & 0o077 == 0


def test_sessions_end_with_logout_new_password_and_removal(cases, tmp_path):
    accounts = Accounts(tmp_path)
    accounts.add("ann", PASSWORD, "analyst")
    one, two = accounts.login("ann", PASSWORD, "x"), accounts.login("ann", PASSWORD, "x")
    assert one is not None
    assert two is not None
    accounts.logout(one.session)
    assert accounts.of_session(one.session) is None
    assert accounts.of_session(two.session) is not None
    accounts.add("ann", PASSWORD + "!", "reader")
    assert accounts.of_session(two.session) is None
    secret = accounts.token("ann", "reader", "")
    assert accounts.remove("ann")
    assert accounts.of_token(secret) is None
    for name, password, role in (("", PASSWORD, "reader"), ("x", "short", "reader"), ("x", PASSWORD, "king"), ("x", "y" * 2000, "reader")):
        with pytest.raises(UsageError):
            accounts.add(name, password, role)


def test_a_name_of_somebody_else_gets_nothing(web):
    c = client(web)
    assert c.get("/", headers={"host": "evil.example"}).status_code == 400
    assert c.get("/", headers={"host": "testserver:8470"}).status_code == 200


def test_a_body_that_is_too_large_is_refused(web):
    c = client(web)
    answer = c.post("/cases/1/note", data={"text": "x" * 2_000_000, "form_token": token(c)})
    assert answer.status_code == 413


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(web):
    header = client(web, role=None).post("/login", data={"name": "reader", "password": PASSWORD}).headers["set-cookie"]
    assert COOKIE in header
    assert "HttpOnly" in header
    assert "SameSite=strict" in header
    behind_tls = client(Web(web.cases, secure=True), role=None).post("/login", data={"name": "reader", "password": PASSWORD})
    assert "Secure" in behind_tls.headers["set-cookie"]


def test_the_key_of_the_start_up_line_opens_and_a_wrong_one_does_not(cases):
    web = Web(cases)
    web.key = "right"
    c = client(web, role=None)
    assert c.get("/login?key=wrong").status_code == 200
    assert c.get("/login?key=right").headers["location"] == "/"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--host", "0.0.0.0"], "needs --tls-cert"),
        (["--host", "192.0.2.1", "--no-tls"], "needs users"),
        (["--tls-cert", "x"], "go together"),
    ],
)
def test_beyond_this_machine_it_does_not_start_without_tls_and_users(tmp_path, words, why):
    with pytest.raises(UsageError, match=why):
        serve([str(tmp_path / "none"), *words])


def test_users_are_managed_on_the_command_line(tmp_path, capsys, monkeypatch):
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    named = ["--cases", str(tmp_path)]
    assert run(["user", "add", "ann", "--role", "admin", *named]) == 0
    assert run(["user", "list", *named]) == 0
    assert run(["user", "token", "ann", *named]) == 0
    out = capsys.readouterr().out
    assert "admin    ann" in out
    assert "th_" in out
    assert run(["user", "remove", "ann", *named]) == 0
    with pytest.raises(UsageError, match="no user"):
        run(["user", "remove", "ann", *named])


def test_openapi_names_every_page_and_action():
    paths = document(PAGES, ACTIONS, "1")["paths"]
    assert sum("get" in p for p in paths.values()) == len(PAGES)
    assert sum("post" in p for p in paths.values()) == len(ACTIONS)


def test_an_investigation_runs_in_the_background(web):
    c = client(web)
    assert c.post("/cases/1/investigate", data={"form_token": token(c)}).headers["location"] == "/cases/1/jobs"
    for _ in range(600):
        jobs = c.get("/cases/1/jobs.json").json()["jobs"]
        if jobs[0]["state"] in ("done", "failed"):
            break
        import time

        time.sleep(0.05)
    assert (jobs[0]["state"], HOST in jobs[0]["answer"]) == ("done", True)


def test_the_bytes_of_a_flow_are_read_from_the_evidence_itself(tmp_path):
    wire = Wire(1_028_219_400 * 10**9)
    talk = wire.host(HOST).connect(wire.host("198.51.100.7"), 80, 1.0)
    asked, answered = b"GET /<script> HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x00\x01\xfe\xff"
    talk.send(asked)
    talk.reply(answered)
    talk.close()
    capture = tmp_path / "talk.pcap.gz"
    capture.write_bytes(gzip.compress(wire.pcap()))
    named = ["--cases", str(tmp_path / "cases"), "--as", "ann"]
    assert run(["case", "new", "Talk", *named]) == 0
    assert run(["case", "add", "1", str(capture), *named]) == 0
    assert run(["case", "run", "1", "-q", *named]) == 0
    web = Web(tmp_path / "cases")
    c = client(web, role=None)
    secret = {"authorization": f"Bearer {web.accounts.token('ann', 'reader', 'test')}"}
    flow = c.get("/cases/1/tables/flows.json?dport.eq=80", headers=secret).json()["rows"][0][0]
    got = c.get(f"/cases/1/flows/{flow}/wire.json", headers=secret).json()
    assert [(base64.b64decode(p["payload"]["base64"]), p["from_originator"]) for p in got["packets"]] == [(asked, True), (answered, False)]
    page = c.get(f"/cases/1/flows/{flow}/wire", headers=secret).text
    assert "GET /&lt;script&gt; HTTP/1.1" in page
    assert "00 01 fe ff" in page
    assert c.get("/cases/1/flows/99/wire", headers=secret).status_code == 404
    capture.write_bytes(gzip.compress(wire.pcap()[:60]))
    assert c.get(f"/cases/1/flows/{flow}/wire.json", headers=secret).status_code == 422
