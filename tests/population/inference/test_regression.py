import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from hrtem_dask.population.inference.regression import fit_linear, fit_logistic

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def data(rng: np.random.Generator) -> Data:
    codes = rng.integers(0, 25, 500)
    x = np.column_stack([rng.normal(size=500) + 0.5 * rng.normal(size=25)[codes], np.ones(500)])
    fault = (rng.random(500) < expit(x @ [0.8, -0.5] + 0.5 * rng.normal(size=25)[codes])).astype(float)
    return x, fault, rng.uniform(0.5, 2, 500), codes


def left_out(fit: object, data: Data) -> np.ndarray:
    """Covariance of the coefficients, each micrograph left out in turn and all fitted anew."""
    x, y, weights, codes = data
    whole = fit(x, y, weights, codes).coefficients  # type: ignore[operator]
    kept = [codes != g for g in np.unique(codes)]
    changes = np.array([fit(x[k], y[k], weights[k], codes[k]).coefficients - whole for k in kept])  # type: ignore[operator]
    return (len(kept) - 1) / len(kept) * changes.T @ changes


def test_linear_errors_are_the_jackknifes(data: Data) -> None:
    fit = fit_linear(*data)
    np.testing.assert_allclose(fit.covariance, left_out(fit_linear, data), rtol=1e-8)
    np.testing.assert_allclose(
        fit.coefficients, np.linalg.lstsq(data[0] * np.sqrt(data[2])[:, None], data[1] * np.sqrt(data[2]))[0]
    )


def test_logistic_errors_are_nearly_the_jackknifes(data: Data) -> None:
    fit, jackknife = fit_logistic(*data), np.sqrt(np.diag(left_out(fit_logistic, data)))
    assert [fit.error(0), fit.error(1)] == pytest.approx(list(jackknife), rel=0.02)


def test_logistic_coefficients_are_scikit_learns(data: Data) -> None:
    x, y, weights, _ = data
    other = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    other.fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(fit_logistic(*data).coefficients, other.coef_[0], atol=1e-5)


def test_degrees_of_freedom_count_what_is_constant_within_micrographs(data: Data) -> None:
    x, y, weights, codes = data
    assert fit_linear(x, y, weights, codes).df == 24
    temperature = np.arange(25.0)[codes]
    assert fit_linear(np.column_stack([temperature, x]), y, weights, codes).df == 23


def test_separated_outcomes_have_no_odds_ratio() -> None:
    x = np.column_stack([np.linspace(-1, 1, 100), np.ones(100)])
    fit = fit_logistic(x, (x[:, 0] > 0).astype(float), np.ones(100), np.arange(100) % 10)
    assert fit.reason is not None
    assert "infinite" in fit.reason
