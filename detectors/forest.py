"""An isolation forest as flat arrays: grown by scikit-learn, scored without it.

    path(x)  = mean over trees of (edges to x's leaf + c(training rows in that leaf))
    c(n)     = 2 (ln(n - 1) + gamma) - 2 (n - 1) / n     c(1) = 0, c(2) = 1
    anomaly  = 2 ** (-path(x) / c(rows a tree was grown from))

as in Liu, Ting and Zhou (ICDM 2008); `anomaly` is minus `IsolationForest.score_samples`. What is used
here is the path alone: it orders rows in the same way and needs no power. Rows are compared as float32
with thresholds rounded down to float32, which decides every comparison as scikit-learn's float64 does.

scikit-learn is imported when the first forest is grown, not before: it costs about 80 MB of
memory for good, 135 where pandas is installed, and a second of CPU.

Bytes: 10 a node, about 75 nodes a tree of 128 rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.compiled import kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
ROWS = 128
"""most rows one tree is grown from"""
LEAF = -1


class Forest(NamedTuple):
    """All nodes of all trees. The left child of a node is the one after it."""

    root: I32
    """by tree: place of its root"""
    feature: npt.NDArray[np.int16]
    """by node; LEAF"""
    threshold: F32
    """by node: up to it, left; of a leaf: the path that ends there"""
    right: I32
    rows: int
    """a tree was grown from"""


def grow(rows: F32, trees: int, seed: int) -> Forest:
    """Grow a forest from rows f32[n, features], all finite, n >= 2. Equal arguments, equal forest."""
    from sklearn.ensemble import IsolationForest

    count = min(ROWS, len(rows))
    grown = IsolationForest(n_estimators=trees, max_samples=count, random_state=seed).fit(rows)
    roots, features, thresholds, rights = [], [], [], []
    at = 0
    for estimator in grown.estimators_:
        tree = estimator.tree_
        feature = np.asarray(tree.feature)
        left, right = np.asarray(tree.children_left), np.asarray(tree.children_right)
        inner = left >= 0
        if not (left[inner] == np.flatnonzero(inner) + 1).all():
            raise RuntimeError("scikit-learn orders the nodes of a tree in another way than known")
        path = _depths(left, right) + _rest(np.asarray(tree.n_node_samples))
        roots.append(at)
        features.append(np.where(inner, feature, LEAF).astype(np.int16))
        thresholds.append(np.where(inner, _down(np.asarray(tree.threshold)), path.astype(np.float32)))
        rights.append(np.where(inner, right + at, LEAF).astype(np.int32))
        at += len(feature)
    return Forest(
        np.array(roots, np.int32),
        np.concatenate(features),
        np.concatenate(thresholds).astype(np.float32),
        np.concatenate(rights),
        count,
    )


def paths(forest: Forest, rows: F32) -> F64:
    """Mean path of each row; short is odd."""
    out = np.empty(len(rows))
    _walk(forest.root, forest.feature, forest.threshold, forest.right, rows, out)
    return out


def usual_path(rows: int) -> float:
    """c(n)."""
    return float(_rest(np.array([rows]))[0])


def _rest(counts: npt.NDArray[np.int64]) -> F64:
    n = np.maximum(counts, 2).astype(np.float64)
    c = 2.0 * (np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(counts <= 1, 0.0, np.where(counts == 2, 1.0, c))


def _depths(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> F64:
    depth = np.zeros(len(left))
    for node in range(len(left)):
        if left[node] >= 0:  # children come after their parent
            depth[left[node]] = depth[right[node]] = depth[node] + 1.0
    return depth


def _down(threshold: F64) -> F32:
    """The largest float32 that is not above."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


@kernel
def _walk(root: I32, feature: npt.NDArray[np.int16], threshold: F32, right: I32, rows: F32, out: F64) -> None:
    for i in range(len(rows)):
        total = 0.0
        for tree in range(len(root)):
            node = root[tree]
            while feature[node] >= 0:
                node = node + 1 if rows[i, feature[node]] <= threshold[node] else right[node]
            total += threshold[node]
        out[i] = total / len(root)
