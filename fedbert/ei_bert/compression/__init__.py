"""From a teacher to an artefact: pruning, pre-training, teaching, export, in stages."""
