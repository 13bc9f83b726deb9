"""In: a small table in one file or several. Out: that pages, walked forwards and backwards, are the table in order. Never here: HTTP."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracehound.edges.case_paging import END, Filter, Paging
from tracehound.errors import UsageError

ROWS = 57


def rows():
    return [
        {"n": i, "word": None if i % 7 == 3 else f"w{i * 5 % 4}",
         "ts": None if i == 9 else 1_000_000_007 * (i * 13 % 11) + i % 2, "x": (i * 17 % 5) / 3}
        for i in range(ROWS)
    ]  # fmt: skip


@pytest.fixture(scope="module", params=[1, 3], ids=["one file", "three files"])
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paging")
    word, ts = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ns", tz="UTC")
    schema = pa.schema([("n", pa.int64()), ("word", word), ("ts", ts), ("x", pa.float64())])
    table = pa.Table.from_pylist(rows(), schema)
    each = -(-ROWS // request.param)
    paths = []
    for i in range(request.param):
        paths.append(folder / f"{request.param}-{i}.parquet")
        pq.write_table(table.slice(i * each, each), paths[-1], row_group_size=10)
    return {"t": paths}


@pytest.fixture(scope="module")
def paging():
    return Paging(most_open=1)


def expected(sort, descending, keep=lambda r: True):
    there = [r for r in rows() if keep(r)]
    if not sort:
        return [r["n"] for r in there]
    valued = sorted((r for r in there if r[sort] is not None), key=lambda r: r[sort], reverse=descending)  # stable either way
    return [r["n"] for r in valued] + [r["n"] for r in there if r[sort] is None]


def walk(paging, files, where, sort, descending, size=10):
    got, after, at = [], None, 0
    while True:
        with paging.tables(files) as tables:
            page = tables.page("t", {"n": "n"}, where, sort=sort, descending=descending, size=size, after=after, offset=at)
        got.append(page)
        if at + page.rows.num_rows >= page.total:
            return got
        after, at = page.places[-1], at + page.rows.num_rows


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("sort", ["", "word", "ts", "x", "n"])
@pytest.mark.parametrize("filtered", [False, True], ids=["all", "filtered"])
def test_pages_one_behind_the_other_are_the_table_in_order(paging, files, sort, descending, filtered):
    if not sort and descending:
        pytest.skip("the order of making has one direction")
    where = Filter("n % 2 = $v0", {"v0": 0}) if filtered else Filter()
    want = expected(sort, descending, (lambda r: r["n"] % 2 == 0) if filtered else lambda r: True)
    pages = walk(paging, files, where, sort, descending)
    assert [n for p in pages for n in p.rows["n"].to_pylist()] == want
    assert {p.total for p in pages} == {len(want)}
    order = {"sort": sort, "descending": descending, "size": 10}
    with paging.tables(files) as tables:
        last = tables.page("t", {"n": "n"}, where, before=END, **order)
        assert last.rows.equals(pages[-1].rows)
        for here, there in zip(pages[1:], pages, strict=False):
            assert tables.page("t", {"n": "n"}, where, before=here.places[0], **order).places == there.places
        by_number = tables.page("t", {"n": "n"}, where, offset=20, **order)
    assert by_number.places == pages[2].places


def test_a_place_that_is_none_is_refused_and_an_empty_answer_is_a_page(paging, files):
    with paging.tables(files) as tables:
        with pytest.raises(UsageError, match="no such row"):
            tables.page("t", {"n": "n"}, Filter(), sort="ts", after=1 << 50)
        empty = tables.page("t", {"n": "n"}, Filter("n < $v0", {"v0": 0}), sort="ts")
        beyond = tables.page("t", {"n": "n"}, Filter(), offset=1_000)
    assert (empty.rows.num_rows, empty.places, empty.total) == (0, (), 0)
    assert (beyond.rows.num_rows, beyond.total) == (0, ROWS)


def test_open_tables_reach_no_other_file(paging, files, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"n": [1]}), other)
    with paging.tables(files) as tables, pytest.raises(UsageError):
        tables.duck.ask(f"SELECT * FROM '{other}'")
