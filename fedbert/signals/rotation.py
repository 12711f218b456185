"""What a signal has learnt in one release's space, taken along to another's: public texts fix the way."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedbert.errors import FedbertError


def rotation(old: NDArray[np.floating], new: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the orthogonal matrix `[dim, dim]` that takes vectors of one release nearest to another's.

    `old` and `new` `[text, dim]` are the same public texts in both releases. Minimises ||old R - new|| over
    orthogonal R (Schönemann 1966, orthogonal Procrustes), so that noise stays isotropic and keeps its
    variance.
    """
    if old.shape != new.shape:
        raise FedbertError(
            f"public vectors of two releases must have one shape, not {old.shape} and {new.shape}"
        )
    # One thread: the bits of a factorisation depend on the threads of the linear algebra library.
    with threadpool_limits(1, "blas"):
        # float64: the rotation is applied to sums of all rounds so far, so that its error would pile up.
        left, _, right = np.linalg.svd(old.T.astype(np.float64) @ new.astype(np.float64))
        return np.asarray(left @ right, np.float64)
