"""The streams of random numbers that this package draws from, each with a name.

A stream is `fedbert.randomness.generator(seed, purpose, time)`. The numbers below are the `time` of a
purpose; where a name stands for many streams, the epoch, step or round is added to it. They decide the bits
of the shipped artefacts, so none of them may change. The gaps are wide enough for the epochs and steps of one
training. A compression and a run's server may share a stream: they never meet.
"""

# Purpose.TRAINING: the order of batches, and what a training step draws.
PRETRAINING_EPOCH = 0
CROSS_STEP = 10_000
TUNING_EPOCH = 20_000
TASK_EPOCH = 30_000
TASK_STEP = 40_000
RIVAL_EPOCH = 50_000
WIDE_UNSEEN = 60_000
TAG_EPOCH = 70_000
SERVER_ANCHORS = 1
SERVER_ROUND = 1_000

# Purpose.SAMPLE: which texts are taken, and what new texts are made of.
VARIED_TEXTS = 0
CROSS_TEXTS = 1
REMIXED_TEXTS = 7
GENERAL_SENTENCES = 11
WORD_GROUPS = 12
ASKED_NAMES = 14
FEW_TEXTS = 13
PENALTY_TEXTS = 0
HELD_OUT = 8

# Purpose.RESAMPLING: the bootstraps of a probe.
PROBE_HITS = 0
PROBE_RETENTION = 1
KIND_SHARE = 2
