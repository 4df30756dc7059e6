"""Forests as flat arrays are scikit-learn's forests, and relations are what they say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from detectors import fits
from detectors.forest import grow, paths, usual_path
from detectors.relations import expected, fit, residuals


@pytest.mark.parametrize("rows", [2, 17, 128, 300])
def test_paths_are_those_of_scikit_learn(rows: int) -> None:
    from sklearn.ensemble import IsolationForest

    dice = np.random.default_rng(rows)
    taught = dice.normal(size=(rows, 7)).astype(np.float32)
    taught[:, 2] = 1.0
    asked = np.concatenate([taught, dice.normal(0, 3, (100, 7)).astype(np.float32)])
    forest = grow(taught, 24, 5)
    peer = IsolationForest(n_estimators=24, max_samples=min(128, rows), random_state=5).fit(taught)
    ours = -(2.0 ** (-paths(forest, asked) / usual_path(forest.rows)))
    np.testing.assert_allclose(ours, peer.score_samples(asked), rtol=1e-6)


def test_equal_rows_and_seed_give_an_equal_forest() -> None:
    rows = np.random.default_rng(1).normal(size=(100, 5)).astype(np.float32)
    one, two = grow(rows, 8, 3), grow(rows, 8, 3)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_what_the_others_let_expect_is_close_to_what_they_explain() -> None:
    dice = np.random.default_rng(3)
    load = dice.normal(100, 10, 256)
    vectors = np.array([load, 2 * load + dice.normal(0, 1, 256), dice.normal(0, 1, 256)]).T
    model = fit(vectors.astype(np.float32), 8, 1)
    assert model is not None
    seen = np.array([110.0, 180.0, 0.0])
    assert expected(model.scale, seen)[1] == pytest.approx(220.0, abs=4.0)
    assert abs(residuals(model.scale, seen[None])[0, 1]) > 8.0


def test_fewer_than_two_series_that_move_make_no_model() -> None:
    vectors = np.full((64, 3), 7.0, np.float32)
    vectors[:, 0] = np.arange(64)
    assert fit(vectors, 8, 1) is None


def test_the_shard_does_not_import_scikit_learn_before_it_learns() -> None:
    code = "import sys, detectors.shard; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_failure_to_learn_is_raised_where_the_model_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no forest today")

    monkeypatch.setattr(fits, "fit", broken)
    basis = fits.Basis(0, 1, 2, np.zeros((64, 2), np.float32).tobytes())
    with pytest.raises(RuntimeError, match="no forest today"):
        fits.Fit("cart", basis, 8).model()


def test_whoever_learns_it_the_model_is_the_same() -> None:
    vectors = np.random.default_rng(4).normal(size=(64, 3)).astype(np.float32)
    basis = fits.Basis(0, 1, 3, vectors.tobytes())
    coming = [fits.Fit("cart", basis, 8) for _ in range(6)]  # the last ones are learned by who asks first
    models = [one.model() for one in reversed(coming)]
    assert len({model.forest.threshold.tobytes() for model in models if model is not None}) == 1
    assert None not in models
