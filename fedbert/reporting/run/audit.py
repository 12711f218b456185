"""Chapter of a run's report: what attacks really got, beside what was proved."""

from fedbert.privacy.mechanism import SEES_PARTICIPATION, SEES_REPORTS
from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, alert_html, panels_html, table_html
from fedbert.results import AuditBoundRow, AuditRow, ExposureRow, RunResult

WHAT_IT_IS = (
    "Canaries are phones that are planted by a coin; an attacker guesses which are in. What he gets right "
    "bounds epsilon from below, at 95%, as the proof bounds it from above. An audit can show a fault; it "
    "cannot show that there is none."
)


def attacker(row: AuditBoundRow) -> str:
    """Return in a few words what an attacker sees."""
    if row["adversary"] == SEES_REPORTS:
        return "single reports seen"
    return "participation seen" if row["adversary"] == SEES_PARTICIPATION else "participation not seen"


def fault_sentence(audit: AuditRow) -> str:
    """Return what the audit found wrong; empty if nothing."""
    return "" if audit["passed"] else text.sentence("; ".join(audit["failures"]))


def result_sentence(audit: AuditRow) -> str:
    """Return the strongest attack beside its proof, in a sentence."""
    if not audit["bounds"]:
        return text.sentence(audit["note"] or "no adversary could be tried")
    best = max(audit["bounds"], key=lambda row: row["epsilon"])
    rounds = best["rounds"]
    what = "one report" if reads_reports(audit) else "one round" if rounds == 1 else f"{rounds} rounds"
    return (
        f"The strongest attack, {best['path']} with {attacker(best)}, shows an epsilon of at least "
        f"{text.epsilon(best['epsilon'])} over {what}. "
        f"Proved: {text.epsilon(best['proved'])}."
    )


def reads_reports(audit: AuditRow) -> bool:
    """Return whether phones add the noise, so that attackers read single reports."""
    return any(row["adversary"] == SEES_REPORTS for row in audit["bounds"])


def exposure_sentence(row: ExposureRow, noisy: bool) -> str:
    """Return what single reports give away without their masks; `noisy`: with the phones' own noise."""
    which = "as it is sent, noise and all," if noisy else "without its mask"
    return (
        f"One report {which} gives away {text.percent(row['items'])} of its items (among "
        f"{row['candidate_items']:,}) and {text.percent(row['texts'])} of its texts (among "
        f"{row['candidate_texts']:,}), over {row['reports']:,} phones' reports."
        + ("" if noisy else " Masks, and a sum over many, stand before that.")
    )


def fault_alert(result: RunResult) -> str | None:
    """Return the notice on top of the report that the audit found a fault; None if it did not."""
    audit = result.get("audit")
    if audit is None or audit["passed"]:
        return None
    return alert_html(
        "The audit found a fault: do not rely on the epsilons of this page.", fault_sentence(audit)
    )


def bound_rows(audit: AuditRow) -> list[list[Cell]]:
    """Return one row for each attack: path, attacker, canaries, at least, proved, without noise."""
    return [
        [
            row["path"],
            attacker(row),
            row["canaries"],
            text.epsilon(row["epsilon"]),
            text.epsilon(row["epsilon_one_run"]),
            text.epsilon(row["proved"]),
            text.epsilon(row["epsilon_without_noise"]),
        ]
        for row in audit["bounds"]
    ]


def audit(result: RunResult) -> Section | None:
    """What attacks got, the tests of the noise, and what one report gives away; None without an audit."""
    found = result.get("audit")
    if found is None:
        return None
    panels: list[Panel | None] = []
    if found["bounds"]:
        columns = [
            "attack",
            "attacker",
            "canaries",
            "epsilon at least",
            "of one run",
            "proved",
            "without noise",
        ]
        panels.append(
            Panel(
                "Epsilon that attacks show, beside the proof",
                "measured",
                table_html(bound_rows(found), columns, align="llrrrrr"),
                "The bound of one run takes no canary as independent of another. Without noise: what the "
                "same attack shows then, so what it could find at all. Proved is a proof's, not measured.",
                wide=True,
            )
        )
    if found["noise"]:
        tests: list[list[Cell]] = [
            [row["test"], text.significant(row["measured"], 4), text.significant(row["p_value"], 2)]
            for row in found["noise"]
        ]
        panels.append(
            Panel(
                "The noise that was added",
                "measured",
                table_html(tests, ["test", "measured", "p-value"]),
                "The run's own noise. Variance: deviation over the claimed one, 1 "
                "if it is as claimed. Whiteness: the largest correlation found. Shape: distance from the "
                "normal distribution.",
            )
        )
    if found["exposure"] is not None:
        row, noisy = found["exposure"], reads_reports(found)
        shares: list[list[Cell]] = [
            ["items", text.percent(row["items"]), row["candidate_items"]],
            ["texts", text.percent(row["texts"]), row["candidate_texts"]],
        ]
        panels.append(
            Panel(
                "What one report gives away" if noisy else "What one report gives away without its mask",
                "measured",
                table_html(shares, ["of its", "recovered", "candidates"]),
                exposure_sentence(row, noisy),
            )
        )
    level = text.significant(found["family_level"])
    return Section(
        "What an attack really gets",
        None,
        panels_html(*panels),
        f"{WHAT_IT_IS} A run fails where a sound one would with a chance of {level}, all checks together.",
        fault_sentence(found) or result_sentence(found),
    )
