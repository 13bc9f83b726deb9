"""Published and computed vectors of the tests that findings rest on."""

import pytest

from tracehound.findings.statistics import fano, pelt, poisson_cost, poisson_cusum, wilson

X = [1, 0, 2, 1, 0, 1, 1, 0, 2, 1, 7, 9, 6, 8, 7, 10, 9, 8, 7, 9]


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (54, 63, 0.7503, 0.9230), (5, 5, 0.5655, 1.0), (0, 20, 0.0, 0.1611)],
)
def test_wilson(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)


def test_wilson_of_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_cusum():
    alarm, onset, walk = poisson_cusum(X, 1, 4, 5)
    assert (alarm, onset) == (10, 10)
    assert walk[9] == 0.0 and walk[10] == pytest.approx(6.704, abs=1e-3)
    assert poisson_cusum(X[:10], 1, 4, 5)[:2] == (None, None)


def test_pelt():
    changes, cost = pelt(X)
    assert changes == [10]
    assert cost == pytest.approx(-146.823, abs=1e-3)
    assert pelt(X, 3 * 2.995732)[0] == [10]
    assert pelt(X, 3 * 2.995732)[1] == pytest.approx(-143.827, abs=1e-3)
    assert poisson_cost(sum(X[:10]), 10) == pytest.approx(19.896, abs=1e-3)
    assert poisson_cost(sum(X[10:]), 10) == pytest.approx(-172.711, abs=1e-3)
    assert poisson_cost(sum(X), 20) == pytest.approx(-87.737, abs=1e-3)


def test_pelt_of_a_steady_series_and_of_nothing():
    assert pelt([5.0] * 50)[0] == []
    assert pelt([]) == ([], 0.0)
    assert pelt([0, 0, 0])[0] == []


def test_fano():
    assert fano([3, 3, 3]) == 0.0
    assert fano([0, 10]) == pytest.approx(10.0)
    assert fano([1]) == 1.0
