"""How the threads of numeric libraries wait for work: asleep, after a moment.

Left to themselves they wait busily: a thread of torch or of numpy burns ten milliseconds of a core after each
product, which other work then lacks, and beside other processes a barrier burns many times the work itself.
No bit depends on it. Each library reads its variable when it is loaded, so `fedbert` sets them before any.
"""

import os

OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
"""By the standard, for GNU's runtime (turns of about 50 ns: as long as falling asleep and waking takes), and
for LLVM's and Intel's (milliseconds)."""
BLAS = {"OPENBLAS_THREAD_TIMEOUT": "16"}
"""For numpy's OpenBLAS: 2^16 ticks of the processor."""


def sleep_when_waiting() -> None:
    """Set the variables, for this process and its children; a group of which the user has set any stays."""
    for group in (OPENMP, BLAS):
        if not group.keys() & os.environ.keys():
            os.environ.update(group)
