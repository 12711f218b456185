"""The epsilons of a run in words: the one that survives seen participation first, each with its horizons."""

from fedbert.reporting.parts import text
from fedbert.results import PrivacyRow

SEEN, HIDDEN = "participation seen", "participation not seen"
"""The two adversaries, as they stand beside figures."""

SINGLE = "single reports seen"
"""The one adversary where phones add the noise."""


def seen_epsilon(privacy: PrivacyRow) -> float | None:
    """Return the epsilon against the strongest adversary named, None without privacy."""
    return privacy["epsilon_unamplified"]


def has_hidden(privacy: PrivacyRow) -> bool:
    """Return whether a smaller epsilon holds against one who does not see who took part."""
    return privacy["epsilon"] != privacy["epsilon_unamplified"]


def strongest(privacy: PrivacyRow) -> str:
    """Return what the strongest adversary named sees, in a few words."""
    return SINGLE if privacy["mode"] == "local" else SEEN


def kinds(privacy: PrivacyRow) -> list[tuple[str, str, str]]:
    """Return (words, key of the epsilon, key of its assumption) of each bound, the strongest one first."""
    found = [(strongest(privacy), "epsilon_unamplified", "unamplified")]
    return [*found, (HIDDEN, "epsilon", "amplified")] if has_hidden(privacy) else found


def horizon_words(privacy: PrivacyRow, key: str) -> str:
    """Return what an epsilon comes to at each horizon: "9.25 in a day, 90 in 30 days, 700 in 365 days"."""
    return ", ".join(
        f"{text.epsilon(each[key])} in {_days(each['days'])}"  # type: ignore[literal-required]
        for each in privacy["projections"]
    )


def bound_words(privacy: PrivacyRow) -> str:
    """Return the bounds of a private run in one clause, with unit and horizons."""
    seen = text.epsilon(seen_epsilon(privacy))
    horizons = horizon_words(privacy, "epsilon_unamplified")
    where = "single reports are" if privacy["mode"] == "local" else "participation is"
    said = f"epsilon {seen} per device where {where} seen" + (f" ({horizons})" if horizons else "")
    if has_hidden(privacy):
        said += f", {text.epsilon(privacy['epsilon'])} where it is not"
    return said


def _days(days: int) -> str:
    return "a day" if days == 1 else f"{days} days"
