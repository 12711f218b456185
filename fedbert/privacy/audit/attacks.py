"""Attackers against a transcript: each that a mechanism has a proof against is tried."""

import math

from fedbert.privacy.audit.canaries import Transcript, joins_of, scores_seen, scores_unseen
from fedbert.privacy.audit.findings import BoundFinding, Scores, blind, bound_finding
from fedbert.privacy.audit.gaussian_events import is_gaussian
from fedbert.privacy.mechanism import SEES_PARTICIPATION, SEES_REPORTS, SEES_SUMS, Mechanism

OBSERVED_DEVICES = 20_000
"""Other devices from whose coins an attacker knows by what law devices take part."""

_LAW_SEED = 1


def attacked(
    mechanism: Mechanism, path: str, transcript: Transcript, independent: bool
) -> tuple[list[BoundFinding], list[str]]:
    """Return what each adversary with a proof gets of `transcript`, and why the audit is blind, if it is.

    `independent`: the noise of two canaries is independent. An adversary of a mechanism's own is not tried:
    what it sees is not known here.
    """
    rounds = transcript.joined.shape[0]
    event = mechanism.event(rounds)
    took_part = transcript.included & (transcript.mixing @ transcript.joined > 0).any(axis=0)
    sums = (transcript.opened, transcript.clean)
    found, why = list[BoundFinding](), list[str]()
    for proof in mechanism.spent(rounds):
        if not len(transcript.mixing) or not math.isfinite(proof.epsilon):
            continue
        seen = proof.adversary in (SEES_PARTICIPATION, SEES_REPORTS)
        if seen:
            noisy, clean = (scores_seen(transcript, each) for each in sums)
        elif proof.adversary == SEES_SUMS:
            law = joins_of(mechanism, _LAW_SEED, OBSERVED_DEVICES, rounds)
            noisy, clean = (scores_unseen(transcript, each, law) for each in sums)
        else:
            continue
        scores = Scores(noisy, clean, transcript.included, took_part)
        gaussian = is_gaussian(event, seen)
        found.append(bound_finding(path, rounds, proof, scores, gaussian, independent))
        why.append(blind(path, scores, rounds * mechanism.round_rate))
    return found, [each for each in dict.fromkeys(why) if each]
