"""In: nothing. Out: the package of the benchmarks, so that they can be run as `python -m bench.NAME`. Never here: code."""
