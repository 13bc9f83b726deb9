"""In: mailboxes and mails. Out: messages, threads, and what they name. Never here: cases."""

import mailbox as stdlib_mailbox
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from tracehound.correspondence.mailbox import bare_subject, is_mail, is_mbox, message, split
from tracehound.correspondence.mentions import mentions, refanged
from tracehound.correspondence.threads import threads


def mail(key, subject, text="hello", *, after=None, day=1, references=None, sender="Ann <ann@example.org>"):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"], m["Message-ID"] = sender, "list@example.org", subject, f"<{key}>"
    m["Date"] = f"{day} Aug 2002 10:00:00 +1200"
    if after:
        m["In-Reply-To"] = f"<{after}>"
    if references:
        m["References"] = " ".join(f"<{r}>" for r in references)
    m.set_content(text)
    return m


def test_a_mailbox_that_the_standard_library_writes_is_read(tmp_path):
    box = stdlib_mailbox.mbox(str(tmp_path / "box"))
    for i in range(3):
        box.add(mail(f"{i}@x", "s", "From here on\n\nFrom there too\n"))
    box.flush()
    data = (tmp_path / "box").read_bytes()
    assert is_mbox(data)
    got = [message(part) for part in split(data)]
    assert [m.key for m in got] == ["0@x", "1@x", "2@x"]
    assert got[0].text.startswith("From here on")
    assert got[0].sent_ns == 1_028_152_800 * 10**9


def test_a_line_that_begins_with_from_inside_a_text_begins_no_mail():
    data = b"From a@b Thu Aug  1 10:00:00 2002\nSubject: x\nFrom: a@b\n\ntext\n\nFrom the year 2002 on\nmore\n"
    assert len(list(split(data))) == 1


def test_parts_and_attachments():
    m = mail("1@x", "=?utf-8?q?caf=C3=A9?=", "see the file")
    m.add_attachment(b"MZ" + bytes(100), maintype="application", subtype="octet-stream", filename="taskbar.exe")
    got = message(m.as_bytes())
    assert is_mail(m.as_bytes())
    assert (got.subject, got.text.strip()) == ("café", "see the file")
    assert [(a.name, a.size_bytes) for a in got.attachments] == [("taskbar.exe", 102)]


def test_html_alone_becomes_text():
    m = EmailMessage()
    m["From"], m["Subject"] = "a@b", "x"
    m.set_content("<style>p {}</style><p>one &amp; two</p><script>alert(1)</script>", subtype="html")
    assert message(m.as_bytes()).text.split() == ["one", "&", "two"]


def test_threads_are_tied_by_references_and_by_subjects_that_answer():
    first = message(mail("1@x", "GET /b.cgi", day=1).as_bytes())
    second = message(mail("2@x", "Re: GET /b.cgi", after="1@x", day=2).as_bytes())
    gone = message(mail("4@x", "other words", references=["1@x", "3@x"], day=4).as_bytes())
    plain = message(mail("5@x", "RE: [incidents] get /b.cgi", day=5).as_bytes())
    other = message(mail("6@x", "GET /c.cgi", day=3).as_bytes())
    got = threads([gone, plain, other, second, first, first])
    assert {p.message.key: p.thread for p in got} == {"1@x": "1@x", "2@x": "1@x", "4@x": "1@x", "5@x": "1@x", "6@x": "6@x"}
    assert [(p.message.key, p.depth) for p in got][:2] == [("1@x", 0), ("2@x", 1)]
    assert bare_subject("Re: [x] Fwd: AW: Hello  there") == "hello there"


def test_references_in_a_circle_end():
    a = message(mail("a@x", "x", after="b@x", day=1).as_bytes())
    b = message(mail("b@x", "x", after="a@x", day=2).as_bytes())
    assert sorted(p.message.key for p in threads([a, b])) == ["a@x", "b@x"]


def test_what_a_text_names():
    text = (
        "Host 130[.]216.54.131 asked hxxp://www[.]example[.]com/b.cgi?alt, see sid:2012345 and CVE-2002-1234; "
        "taskbar.exe (MD5 D41D8CD98F00B204E9800998ECF8427E), mail to abuse[at]example.net, 2001:db8::5. Version 1.2.3.4.5. It is Frethem."
    )
    got = {(m.type, m.value) for m in mentions(text, [("Frethem", "Frethem"), ("Fret", "Other")])}
    assert got >= {
        ("ip", "130.216.54.131"), ("url", "http://www.example.com/b.cgi?alt"), ("sid", "2012345"), ("vulnerability", "CVE-2002-1234"),
        ("filename", "taskbar.exe"), ("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("email", "abuse@example.net"), ("ip", "2001:db8::5"),
        ("malware-family", "Frethem"),
    }  # fmt: skip
    assert not any(value == "Other" or value.startswith("1.2.3.4") for _, value in got)
    assert refanged("hxxps[:]//a[.]b (dot) c") == "https://a.b.c"


@given(st.binary(max_size=600))
def test_any_bytes_are_some_message(data):
    got = message(data)
    assert len(got.sha256) == 64
    for part in split(b"From a@b Thu Aug  1 10:00:00 2002\n" + data):
        message(part)
    threads([got, message(data[1:])])


@given(st.text(max_size=400))
def test_mentions_of_any_text(text):
    assert all(m.value for m in mentions(text, [("worm", "Worm")]))
