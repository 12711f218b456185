"""EI-BERT: teacher, token pruning, student, cross-distillation, int8 quantisation, artefact and int8 runtime.

Importing this package imports nothing heavy. `artefact` and `runtime` work without torch; the other modules
need torch and are imported by what trains.
"""

import os

# Before torch loads its OpenMP: training threads that wait at a barrier would else burn the cores
# that other work needs. They sleep after this many turns; no bit depends on it.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
