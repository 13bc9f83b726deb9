"""In: columns of a log as whole numbers or text. Out: rows of one of the program's tables, as its schema wants them.
Never here: a log, or what a column means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tracehound import tables
from tracehound.flowlogs.reader import MISSING


def rows_of(table: tables.Table, n: int, columns: dict[str, Any]) -> pa.Table:
    """Rows of `table`: what is not given is null (or, where that is not allowed, the given columns must have it)."""
    arrays = []
    for field in table.schema:
        value = columns.get(field.name)
        arrays.append(pa.nulls(n, field.type) if value is None else _fit(value, field.type))
    return pa.table(arrays, schema=table.schema)


def _fit(value: Any, kind: pa.DataType) -> pa.Array:
    """A column as the type that its table wants; numbers MISSING become null."""
    if isinstance(value, np.ndarray):
        if value.dtype == np.bool_:
            return pa.array(value, pa.bool_())
        missing = value == MISSING
        if pa.types.is_timestamp(kind):
            return pa.array(value, mask=missing).cast(kind)
        if pa.types.is_boolean(kind):
            return pa.array(value == 1, mask=missing)
        limit = 2 ** (kind.bit_width - (1 if pa.types.is_signed_integer(kind) else 0)) - 1
        missing |= (value < 0) | (value > limit)
        return pa.array(np.where(missing, 0, value).astype(kind.to_pandas_dtype()), mask=missing)
    if pa.types.is_dictionary(kind):
        encoded = value if pa.types.is_dictionary(value.type) else value.dictionary_encode()
        return encoded.cast(kind)
    return value if value.type == kind else value.cast(kind)
