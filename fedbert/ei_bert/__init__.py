"""EI-BERT: teacher, token pruning, student, cross-distillation, int8 quantisation, artefact and int8 runtime.

Importing this package imports nothing heavy. `artefact` and `runtime` work without torch; the other modules
need torch and are imported by what trains.
"""
