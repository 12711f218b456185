"""Devices of a run that are really run under a hard memory limit: rows for its result."""

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.cost_model import CostModel
from fedbert.devices.fleet import draw_fleet
from fedbert.devices.host.verify_memory import VERDICTS, draw_cases, verify
from fedbert.ei_bert.artefact.artefact import VOCABULARY, Artefact
from fedbert.ei_bert.model.tokenizer import TextRules, Tokens
from fedbert.recommendation.world import World
from fedbert.results import CANDIDATES, VerifiedRow
from fedbert.scenario import Scenario

_SEARCHED_DEVICES = 200_000
"""Devices among which those nearest to the boundary are sought: more would find hardly nearer ones."""

_TEXTS = 500
"""Texts that stand for all: enough for every length that occurs."""


def verified_rows(
    scenario: Scenario, cost: CostModel, artefact: Artefact, world: World, count: int
) -> list[VerifiedRow]:
    """Return the verdicts, predicted and seen, of `count` devices near the boundary (`verify_memory`).

    They are sought among the first 200,000 of the fleet; their texts are evaluation texts of `world`, spread
    over all of them. Raises FedbertError where memory cannot be limited.
    """
    rules = TextRules(**artefact.manifest.get("text_rules", {}))
    tokens = Tokens(tuple(artefact.files[VOCABULARY].decode().splitlines()), rules=rules)
    ids = np.flatnonzero(world.evaluation_text)
    chosen = ids[np.linspace(0, len(ids) - 1, min(_TEXTS, len(ids))).astype(np.int64)]
    texts = tokens.rows([world.texts[index] for index in chosen])
    fleet = draw_fleet(cost.profiles, DeviceRange(scenario.seed, 0, min(scenario.devices, _SEARCHED_DEVICES)))
    cases = draw_cases(cost, fleet, texts, CANDIDATES, count)
    return [
        {
            "device": each.case.device,
            "profile": each.case.profile,
            "tokens": len(each.case.text),
            "budget_bytes": each.case.budget_bytes,
            "predicted_bytes": each.case.predicted_bytes,
            "predicted": VERDICTS[each.case.predicted_fit],
            "seen": VERDICTS[each.seen_fit],
            "agrees": each.agrees,
        }
        for each in verify(cost, artefact.files, cases, CANDIDATES)
    ]
