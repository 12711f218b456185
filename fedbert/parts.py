"""Where each exchangeable part of fedbert is: name and ``module:attribute``, imported when asked for.

A part is named on the command line by its name here, or as ``my.py:Name``, something in a file of your own
(`plugins.py`). Names stand apart from the parts, so that a scenario can refuse a wrong one before anything is
loaded.
"""

from fedbert.errors import FedbertError

WORLDS = {
    "interactions": "fedbert.recommendation.tables:load_interactions",
    "movietweetings": "fedbert.recommendation.sequences:load_films",
    "services": "fedbert.recommendation.services:load_services",
}
"""Functions that return a `recommendation.world.World`."""

SIGNALS = {
    "delta": "fedbert.signals.delta.signal:Delta",
    "prototypes": "fedbert.signals.prototypes.signal:Prototypes",
    "public": "fedbert.signals.prototypes.public:Public",
}
"""Classes with the shape of `signals.signal.Signal`."""

MECHANISMS = {
    "allocated": "fedbert.privacy.once_a_day:Allocated",
    "correlated": "fedbert.privacy.correlated:Correlated",
    "daily": "fedbert.privacy.once_a_day:Daily",
    "poisson": "fedbert.privacy.poisson:Poisson",
    "tree": "fedbert.privacy.tree:Tree",
}
"""Classes with the shape of `privacy.mechanism.MechanismKind`."""

SELECTIONS = {
    "by-staleness": "fedbert.selection.by_staleness:ByStaleness",
    "by-tier": "fedbert.selection.by_tier:ByTier",
    "oort": "fedbert.selection.oort:Oort",
    "uniform": "fedbert.selection.uniform:Uniform",
}
"""Classes with the shape of `selection.selection.SelectionKind`."""

LEARNT_SELECTIONS = ("oort",)
"""Those that private data decide: no run with an epsilon has them."""

LOCAL_MECHANISMS = ("allocated", "daily", "poisson")
"""Those whose noise devices can add themselves: that of a round or of a day is independent of any other."""

AUTO = "auto"
"""The model of a run that gives each phone the largest size that fits into its memory."""

AUTO_SIZES = ("default", "small", "tiny")
"""The shipped models that it chooses from, from large to small; they lie in one space."""

DEFAULT_MECHANISM = "daily"
"""The mechanism of a scenario that names none: of those whose bound holds when participation is seen, the one
that measured best (docs/privacy.md)."""

DEFAULT_EPSILON = 2.0
"""The privacy budget of a run that names none."""


def no_account(name: str) -> FedbertError:
    """Return the refusal of a selection that private data decide."""
    return FedbertError(
        f"selection(={name!r}) has no account in a private run: whom it asks tells what phones did; choose "
        "uniform, by-tier or by-staleness, or run without privacy by --epsilon none"
    )
