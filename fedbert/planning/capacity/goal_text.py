"""A goal of a capacity plan, as a person writes it."""

import math
import re
from dataclasses import dataclass

RULE = "rounds-fill=SHARE, updated-HOURSh=SHARE or epsilon=EPSILON/DAYS (as 2/day), each at most once"

LONGEST_HOURS = 168.0

_FORMS = {
    "rounds-fill": re.compile(r"rounds-fill=(?P<value>[^/]+)(?P<over>)"),
    "updated": re.compile(r"updated-(?P<over>[\d.]+)h=(?P<value>[^/]+)"),
    "epsilon": re.compile(r"epsilon=(?P<value>[^/]+)/(?P<over>day|[\d.]+)"),
}


@dataclass(frozen=True)
class Goal:
    """One goal: its kind, what is asked for, and over how many hours (updated) or days (epsilon)."""

    kind: str
    value: float
    over: float
    text: str


def parse_goal(text: str) -> Goal:
    """Return the goal that `text` names; raises ValueError with the rule."""
    for kind, form in _FORMS.items():
        if (match := form.fullmatch(text.strip())) is None:
            continue
        over_text = match["over"]
        try:
            value = float(match["value"])
            over = 1.0 if over_text in ("", "day") else float(over_text)
        except ValueError:
            break
        most = {"rounds-fill": 1.0, "updated": 1.0, "epsilon": math.inf}[kind]
        longest = LONGEST_HOURS if kind == "updated" else 3_650.0
        if 0 < value < most and 0 < over <= longest:
            return Goal(kind, value, over, text.strip())
        break
    raise ValueError(f"{RULE}; shares between 0 and 1")
