"""In: host records as programs print them. Out: told from content and read as they were meant, damaged or not. Never here: cases."""

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.hostlogs import antivirus
from tracehound.hostlogs.event import Context, epoch_ns, iso_ns
from tracehound.hostlogs.kinds import BY_NAME, KINDS, Events, events, kind_of
from tracehound.tables import HOST_EVENTS

AUCKLAND = zoneinfo.ZoneInfo("Pacific/Auckland")
MADE = Context(made_ns=1_028_300_000 * 10**9)  # 2002-08-02


def lines(text):
    return list(enumerate(text.splitlines(), 1))


def read(text, kind=None, context=MADE, skew_ns=0) -> Events:
    told = kind_of(text.splitlines())
    assert told is not None, "not recognised"
    assert kind is None or told.name == kind
    return events(told.read, lines(text), context, source="x", skew_ns=skew_ns)


def rows(text, kind, **more):
    return [{k: v for k, v in r.items() if v is not None} for r in read(text, kind, **more).table.to_pylist()]


def when(row):
    return row["ts"].isoformat()


BODY = (
    "0|/WINDOWS/taskbar.exe|12-128-1|r/rrwxrwxrwx|0|0|49152|1028217600|1027987200|1027987200|1027987200\n"
    "d41d8cd98f00b204e9800998ecf8427e|/a|b (deleted)|12|r/rrwx|0|0|0|0|1028217600.25|0|0\n"
)
MACTIME = (
    "Date,Size,Type,Mode,UID,GID,Meta,File Name\n"
    'Thu Aug 01 2002 16:30:00,4096,m..b,r/rrwxrwxrwx,0,0,12-128-1,"/WINDOWS/TEMP/u,pd.exe"\n'
    "2002-08-01T16:31:00Z,1,.a..,r/r,0,0,1,/x\n"
)
L2T = (
    "date,time,timezone,MACB,source,sourcetype,type,user,host,short,desc,version,filename,inode,notes,format,extra\n"
    "08/01/2002,16:30:00,UTC,M..B,FILE,NTFS,Modified,-,HOST,short,said so,2,C:/taskbar.exe,12,-,filestat,-\n"
    "08/01/2002,16:31:00,UTC,....,EVT,Event,Logged,bob,HOST,short,service stopped,2,C:/sys.evt,12,-,winevt,-\n"
)
PLASO_CSV = (
    "datetime,timestamp_desc,source,source_long,message,parser,display_name,tag\n"
    "2002-08-01T16:30:00.500000+00:00,Creation Time,FILE,File stat,/taskbar.exe Type: file,filestat,OS:/taskbar.exe,-\n"
)
PLASO_JSON = (
    '{"timestamp": 1028219400000000, "timestamp_desc": "Content Modification Time", "data_type": "fs:stat", "filename": "/t.exe", '
    '"file_size": 4096, "message": "x"}\n{"timestamp_desc": "Last Run Time", "datetime": "2002-08-01T16:30:00+00:00", '
    '"data_type": "windows:prefetch:execution", "path": "T.EXE"}\n{broken\n'
)
XML = (
    "<?xml version='1.0'?><Events>\n<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
    "<Provider Name='Microsoft-Windows-Sysmon'/><EventID>3</EventID><TimeCreated SystemTime='2021-05-14T13:25:17.1234567Z'/></System>"
    "<EventData><Data Name='Image'>C:\\x.exe</Data><Data Name='ProcessId'>42</Data><Data Name='User'>D\\u</Data>"
    "<Data Name='DestinationIp'>192.0.2.9</Data><Data Name='DestinationPort'>443</Data></EventData></Event>\n"
    "<Event><System><Provider Name='Microsoft-Windows-Windows Defender'/><EventID>1116</EventID>"
    "<TimeCreated SystemTime='2021-05-14T13:26:00Z'/></System><EventData><Data Name='Threat Name'>Worm:Win32/X</Data>"
    "<Data Name='Path'>file:_C:\\x.exe</Data></EventData></Event>\n</Events>\n"
)
EVENTS_CSV = (
    "Level,Date and Time,Source,Event ID,Task Category\n"
    'Information,8/1/2002 4:30:00 PM,Microsoft-Windows-Security-Auditing,4624,Logon,"An account was logged on.\n\nSubject:\n'
    '\tAccount Name:\t\tHOST$\n\nNew Logon:\n\tAccount Name:\t\tbob\nNetwork Information:\n\tSource Network Address:\t10.1.2.3\n"\n'
)
DIR_98 = (
    " Volume in drive C is WIN98\n Directory of C:\\WINDOWS\n\n.              <DIR>        05-01-99  3:00p .\n"
    "TASKBAR  EXE        49,152  08-13-02  4:30a taskbar.exe\nAUTOEXEC BAT            12  08-12-02 11:30p AUTOEXEC.BAT\n"
    "         2 file(s)         49,164 bytes\n"
)
DIR_NT = (
    " Directory of C:\\Temp\n\n12/08/2002  04:30 AM    <DIR>          Desk top\n31/08/2002  04:30 PM             4,096 a file.txt\n"
    "               1 File(s)          4,096 bytes\n"
)
DIR_DE = " Verzeichnis von C:\\Temp\n\n01.08.2002  16:30             4.096 upd.exe\n               1 Datei(en)          4.096 Bytes\n"
LS_FULL = (
    "/var:\ntotal 8\ndrwxr-xr-x 2 root root 4096 2002-08-02 04:30:00.000000000 +1200 tmp\n"
    "lrwxrwxrwx 1 root root 3 2002-08-02 04:30:01.500000000 +1200 run -> /run\n\n/var/tmp:\ntotal 4\n"
    "-rw-r--r-- 1 bob users 4096 2002-08-02 04:30:00.000000000 +1200 a file\n"
)
LS_SHORT = (
    "total 8\n-rw-r--r-- 1 root root 5 Aug  1 16:30 now\n-rw-r--r-- 1 root root 5 Dec 31 16:30 last\n"
    "-rw-r--r-- 1 root root 5 Aug  1  1999 old\n"
)
FIND = "1028219400.0000000000 4096 /var/a b\n1028219401.5 0 /var\n"
FIND_PLUS = "2002-08-01+16:30:00.5000000000 /var/a\n2002-08-01+16:30:01.0000000000 /var/b\n"
CLAM = (
    "-------------------------------------------------------------------------------\n"
    "Scan started: Thu Aug  1 16:30:00 2002\n\n/srv/x/taskbar.exe: Win.Worm.Frethem-1 FOUND\n/srv/x/ok: OK\n"
    "\n----------- SCAN SUMMARY -----------\nKnown viruses: 10000\nInfected files: 1\n"
)
CLAMD = "Thu Aug  1 16:30:00 2002 -> /x.exe: Win.X(44d88612fea8a8f36de82e1278abb02f:68) FOUND\nThu Aug  1 16:31:00 2002 -> SelfCheck: ok\n"
DEFENDER = "2021-05-14T13:25:17.123Z DETECTION Trojan:Win32/Wacatac.B!ml file:C:\\Users\\x\\a.exe\n2021-05-14T13:25:18.000Z other\n"
PS = (
    "USER       PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"
    "root         1  0.0  0.1   1000  1000 ?        Ss   Jul01   0:01 /sbin/init splash\n"
)
PS_EF = "UID          PID    PPID  C STIME TTY          TIME CMD\nbob          77       1  0 07:05 ?        00:00:01 ./taskbar -x\n"
TASKLIST = (
    "Image Name                     PID Session Name        Session#    Mem Usage\n"
    "========================= ======== ================ =========== ============\n"
    "taskbar.exe                   1234 Console                    1      4,096 K\n"
)
TASKLIST_CSV = '"Image Name","PID","Session Name","Session#","Mem Usage"\n"taskbar.exe","1234","Console","1","4,096 K"\n'
NETSTAT = (
    "Active Connections\n\n  Proto  Local Address          Foreign Address        State           PID\n"
    "  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       924\n"
    "  TCP    192.168.1.5:49170      192.0.2.34:80          ESTABLISHED     2044\n"
    "  UDP    0.0.0.0:123            *:*                                    10\n"
)
SS = (
    "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"
    'tcp   ESTAB 0      0      [2001:db8::1]:4242 [2001:db8::2]:80 users:(("curl",pid=77,fd=3))\n'
)
SAMPLES = {
    "bodyfile": BODY, "mactime": MACTIME, "l2t-csv": L2T, "plaso-csv": PLASO_CSV, "plaso-json": PLASO_JSON, "windows-events-xml": XML,
    "windows-events-csv": EVENTS_CSV, "dir-listing": DIR_98, "ls-listing": LS_FULL, "find-listing": FIND, "clamav": CLAM,
    "defender": DEFENDER, "process-list": PS, "connection-list": NETSTAT,
}  # fmt: skip


def test_there_is_a_sample_of_every_kind():
    assert set(SAMPLES) == {k.name for k in KINDS}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_table_is_as_promised(name):
    table = read(SAMPLES[name], name).table
    assert table.schema.equals(HOST_EVENTS.schema)
    assert table.num_rows
    for column in HOST_EVENTS.columns:
        assert column.nullable or table[column.name].null_count == 0, column.name


def test_body_file_gives_an_event_a_time():
    got = rows(BODY, "bodyfile")
    times = ("accessed", "modified", "changed", "born")
    assert [(r["time_kind"], r["path"]) for r in got][:4] == [(k, "/WINDOWS/taskbar.exe") for k in times]
    # A bar in a name, a fraction of a second, a time of 0 that is no time.
    assert (got[4]["path"], got[4]["note"], got[4]["ts"].microsecond, len(got)) == ("/a|b", "deleted", 250_000, 5)
    assert got[4]["md5"] == "d41d8cd98f00b204e9800998ecf8427e"


def test_mactime_l2t_and_plaso():
    got = rows(MACTIME, "mactime")
    assert [(r["time_kind"], r["path"], when(r)) for r in got] == [
        ("modified", "/WINDOWS/TEMP/u,pd.exe", "2002-08-01T16:30:00+00:00"),
        ("born", "/WINDOWS/TEMP/u,pd.exe", "2002-08-01T16:30:00+00:00"),
        ("accessed", "/x", "2002-08-01T16:31:00+00:00"),
    ]
    got = rows(L2T, "l2t-csv")
    assert [(r["kind"], r["time_kind"], r.get("user")) for r in got] == [
        ("file", "modified", None), ("file", "born", None), ("log", "logged", "bob"),
    ]  # fmt: skip
    assert rows(PLASO_CSV, "plaso-csv")[0]["path"] == "/taskbar.exe"
    got = rows(PLASO_JSON, "plaso-json")
    assert [(r["time_kind"], r["kind"], when(r)) for r in got] == [
        ("modified", "file", "2002-08-01T16:30:00+00:00"), ("started", "process", "2002-08-01T16:30:00+00:00"),
    ]  # fmt: skip
    assert read(PLASO_JSON).bad_count == 1


def test_windows_events():
    got = rows(XML, "windows-events-xml")
    assert (got[0]["kind"], got[0]["process"], got[0]["pid"], got[0]["peer"], got[0]["peer_port"]) == (
        "connection", "C:\\x.exe", 42, "192.0.2.9", 443,
    )  # fmt: skip
    assert (got[1]["kind"], got[1]["detection"]) == ("detection", "Worm:Win32/X")
    got = rows(EVENTS_CSV, "windows-events-csv")
    assert (got[0]["kind"], got[0]["user"], got[0]["peer"], when(got[0])) == ("login", "bob", "10.1.2.3", "2002-08-01T16:30:00+00:00")


def test_an_xml_bomb_is_a_line_not_understood():
    declared = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    bomb = declared + XML.replace("<Data Name='Image'>C:\\x.exe", "<Data Name='Image'>&b;")
    got = read(bomb, "windows-events-xml")
    assert got.bad_count == 1


def test_the_order_of_day_and_month_is_told_from_the_whole_listing():
    assert [when(r)[:10] for r in rows(DIR_98, "dir-listing")] == ["2002-08-13", "2002-08-12"]
    assert [when(r) for r in rows(DIR_NT, "dir-listing")] == ["2002-08-12T04:30:00+00:00", "2002-08-31T16:30:00+00:00"]
    assert rows(DIR_DE, "dir-listing")[0]["path"] == "C:\\Temp\\upd.exe"
    undecided = rows(DIR_NT.replace("31/08", "11/08"), "dir-listing")
    assert all("month before day is assumed" in r["note"] for r in undecided)


def test_ls_with_and_without_full_times():
    got = rows(LS_FULL, "ls-listing")
    assert [(r["path"], when(r)) for r in got] == [
        ("/var/tmp", "2002-08-01T16:30:00+00:00"),
        ("/var/run", "2002-08-01T16:30:01.500000+00:00"),
        ("/var/tmp/a file", "2002-08-01T16:30:00+00:00"),
    ]
    got = rows(LS_SHORT, "ls-listing")
    assert [r["ts"].year for r in got] == [2002, 2001, 1999]
    assert "no year is said" in got[0]["note"]


def test_find_in_both_spellings_and_a_zone():
    assert [(r["path"], r["size"]) for r in rows(FIND, "find-listing")] == [("/var/a b", 4096), ("/var", 0)]
    assert when(rows(FIND_PLUS, "find-listing", context=Context(AUCKLAND))[0]) == "2002-08-01T04:30:00.500000+00:00"


def test_antivirus_logs():
    got = rows(CLAM, "clamav")
    assert (got[1]["detection"], got[1]["path"], when(got[1]), got[1]["note"]) == (
        "Win.Worm.Frethem-1", "/srv/x/taskbar.exe", "2002-08-01T16:30:00+00:00", "time is the scan's start",
    )  # fmt: skip
    got = rows(CLAMD, "clamav")
    assert (got[0]["md5"], got[0]["size"], got[1]["kind"]) == ("44d88612fea8a8f36de82e1278abb02f", 68, "scan")
    assert rows(DEFENDER, "defender")[0]["detection"] == "Trojan:Win32/Wacatac.B!ml"


def test_patterns_of_ones_own():
    tried = antivirus.patterns(r"# Norton" + "\n" + r"^(?P<time>\S+ \S+) found (?P<detection>\S+) in (?P<path>.*)$")
    log = lines("2002-08-01 16:30:00 found W32.X in C:\\t.exe\nelse")
    got = events(lambda x, c: antivirus.by_pattern(tried, x, c), log, MADE, source="x")
    assert got.table.to_pylist()[0]["detection"] == "W32.X"
    for wrong, why in (("(", "line 1"), ("(?P<colour>x)", "colour"), ("x", "unnamed")):
        with pytest.raises(ValueError, match=why):
            antivirus.patterns(wrong)


def test_processes_and_connections():
    assert rows(PS, "process-list")[0]["message"] == "/sbin/init splash"
    assert (rows(PS_EF, "process-list")[0]["pid"], rows(PS_EF, "process-list")[0]["path"]) == (77, "./taskbar")
    assert rows(TASKLIST, "process-list")[0]["pid"] == rows(TASKLIST_CSV, "process-list")[0]["pid"] == 1234
    got = rows(NETSTAT, "connection-list")
    assert [(r.get("peer"), r.get("peer_port"), r["pid"]) for r in got] == [(None, None, 924), ("192.0.2.34", 80, 2044), (None, None, 10)]
    got = rows(SS, "connection-list")
    assert (got[0]["peer"], got[0]["peer_port"], got[0]["process"], got[0]["pid"]) == ("2001:db8::2", 80, "curl", 77)


def test_a_wrong_clock_is_set_right_and_what_it_said_is_kept():
    got = read(FIND, skew_ns=60 * 10**9).table.to_pylist()[0]
    assert (got["ts_host"] - got["ts"]).total_seconds() == 60


def test_times_that_do_not_exist_are_none():
    assert epoch_ns("0") is epoch_ns("-5") is epoch_ns("x") is epoch_ns("9" * 30) is None
    assert iso_ns("2002-13-01", datetime.UTC) is iso_ns("2002-02-30T25:00", datetime.UTC) is None
    assert iso_ns("2002-08-02T04:30:00+12:00", datetime.UTC) == 1_028_219_400 * 10**9


@given(st.sampled_from(sorted(BY_NAME)), st.text(max_size=300), st.data())
def test_any_text_gives_rows_or_lines_not_understood(name, noise, data):
    sample = SAMPLES[name]
    at = data.draw(st.integers(0, len(sample)))
    text = sample[:at] + noise + sample[at + data.draw(st.integers(0, 20)) :]
    got = events(BY_NAME[name].read, lines(text), MADE, source="x")
    assert got.table.schema.equals(HOST_EVENTS.schema)
    kind_of(text.splitlines())
