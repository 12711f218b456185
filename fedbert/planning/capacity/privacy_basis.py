"""What epsilon of another plan follows from: the mechanisms whose bound is that of one Gaussian.

Such a bound is `gaussian_epsilon` of the noise over the sensitivity, a formula of rounds and days. The others
are composed numerically, and no page does that.
"""

from fedbert.planning.budget.account import kind_of
from fedbert.planning.capacity.capacity import GuaranteeBasis, PrivacyBasis, PrivacyPlan, Rule
from fedbert.planning.capacity.run_privacy import RunPrivacy
from fedbert.privacy.correlated import Correlated
from fedbert.privacy.mechanism import SEES_PARTICIPATION
from fedbert.privacy.once_a_day import Allocated, Daily
from fedbert.privacy.poisson import Poisson
from fedbert.privacy.tree import Tree

RULES: dict[type, Rule] = {
    Poisson: "a Gaussian a round",
    Allocated: "a Gaussian a day",
    Daily: "a Gaussian a day",
    Correlated: "correlated",
    Tree: "tree",
}
"""What the bound against one who sees who took part follows from; of no class derived from these."""


def privacy_basis(run: RunPrivacy, plan: PrivacyPlan) -> PrivacyBasis | None:
    """Return how epsilons of other plans follow from a run's noise, None where the plan has none."""
    if run.noise_multiplier is None or not plan.guarantees:
        return None
    rule = RULES.get(kind_of(run.mechanism), "the command")
    return PrivacyBasis(
        run.noise_multiplier,
        run.delta,
        [
            GuaranteeBasis(each.adversary, rule if each.adversary == SEES_PARTICIPATION else "the command")
            for each in plan.guarantees
        ],
    )
