"""How far off the device model is, and for which engine, for people: chapter, sentences, terminal lines."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html, text_html
from fedbert.results import DeviceErrorRow, DeviceErrors, EngineRow, asked_errors

TITLE = "How far off the device model is"

LEAD = (
    "Latency, memory and energy of phones are modelled. This chapter shows how far the models of time "
    "and memory are off on measurements: the relative error |predicted / measured - 1|."
)

SCOPE = (
    "No phone has run this model. The measurements are of other networks on the phones and boards of "
    "public tables, and of this model on one computer. Energy has no measurement to compare with: it "
    "is extrapolated from the power profile of one phone (docs/devices.md)."
)


def _percent(value: float | None) -> str:
    return text.percent(value, 1) if value is not None else text.NONE


def device_errors_section(errors: DeviceErrors | None) -> Section | None:
    """Return the chapter with predicted against measured; None for a run from before it was kept."""
    if not errors or not errors["rows"]:
        return None
    rows: list[list[Cell]] = [
        [
            row["what"],
            row["label"],
            row["rows"],
            _percent(row["median_error"]),
            *(text.percent(row[key]) for key in ("within_10", "within_20", "within_30")),
            _percent(row["asked"]),
            row["note"],
        ]
        for row in errors["rows"]
    ]
    columns = [
        "measurements",
        "kind",
        "rows",
        "median error",
        "within 10%",
        "within 20%",
        "within 30%",
        "aim, median",
        "note",
    ]
    made = f"Made by: {errors['made_by']}"
    table = table_html(rows, columns, align="llrrrrrrl")
    if engines := errors.get("engines"):
        table = panels_html(
            Panel("Relative errors", "measured", table, wide=True),
            Panel("Measured over predicted time, by engine", "measured", _engines_html(engines), wide=True),
        )
    return Section(
        TITLE,
        "measured",
        table,
        " ".join(part for part in (errors.get("note"), SCOPE, made) if part),
        f"{LEAD} Times are predicted for {engine}." if (engine := engine_name(errors)) else LEAD,
    )


def device_errors_reference(errors: DeviceErrors | None, where: str) -> Section | None:
    """Return the chapter of a report that rests on runs: the medians in a line, and `where` the table is."""
    line = device_errors_line(errors)
    if line is None:
        return None
    return Section(TITLE, "measured", text_html(f"{line} The whole table is in {where}."))


def _engines_html(engines: list[EngineRow]) -> str:
    rows: list[list[Cell]] = [
        [
            row["engine"],
            row["precision"],
            row["networks"],
            row["devices"],
            row["rows"],
            *(_factor(row[key]) for key in ("factor_low", "factor_median", "factor_high")),
        ]
        for row in engines
    ]
    columns = ["engine", "precision", "networks", "on", "rows", "least", "median", "most"]
    return table_html(rows, columns, align="llllrrrr")


def _factor(value: float) -> str:
    return f"{value:.2f}"


def engine_name(errors: DeviceErrors | None) -> str | None:
    """Return the engine whose times a run predicts; None for profiles of its own, and before it was kept."""
    return errors.get("engine") if errors else None


def engine_sentence(errors: DeviceErrors | None) -> str | None:
    """Return which engine latency is predicted for, and measured over predicted by engine, in int8.

    None for a run from before the engine was kept.
    """
    if not errors or "engine" not in errors:
        return None
    engine = engine_name(errors)
    if engine is None:
        return "Latency is predicted for the engine that the run's own profiles were made for."
    factors = [
        f"{row['engine']} {_factor(row['factor_low'])} to {_factor(row['factor_high'])} ({row['networks']})"
        for row in errors.get("engines", [])
        if row["precision"] == "int8"
    ]
    said = f"Latency is predicted for {engine}."
    return said + (f" Measured over predicted times in int8: {'; '.join(factors)}." if factors else "")


def spending_sentence(errors: DeviceErrors | None) -> str:
    """Return the engine that outcomes and energy of a forecast rest on; empty before it was kept."""
    said = engine_sentence(errors)
    return f"What a phone spends follows from its latency. {said}" if said else ""


def _row_words(row: DeviceErrorRow) -> str:
    return f"{row['what']}: {_percent(row['median_error'])}"


def device_errors_line(errors: DeviceErrors | None) -> str | None:
    """Return the median errors of the rows that something was asked of, None where there are none."""
    if not errors or not errors["rows"]:
        return None
    shown = asked_errors(errors) or errors["rows"]
    found = "; ".join(_row_words(row) for row in shown[:3])
    note = errors.get("note")
    return f"Median error of predicted against measured times: {found}." + (f" {note}" if note else "")
