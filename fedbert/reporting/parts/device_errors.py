"""How far off the device model is, for people: a chapter of a run's report, a line elsewhere."""

from fedbert.reporting.parts import text
from fedbert.reporting.parts.page import Cell, Section, table_html, text_html
from fedbert.results import DeviceErrorRow, DeviceErrors, asked_errors

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
    return Section(
        TITLE,
        "measured",
        table_html(rows, columns, align="llrrrrrrl"),
        " ".join(part for part in (errors.get("note"), SCOPE, made) if part),
        LEAD,
    )


def device_errors_reference(errors: DeviceErrors | None, where: str) -> Section | None:
    """Return the chapter of a report that rests on runs: the medians in a line, and `where` the table is."""
    line = device_errors_line(errors)
    if line is None:
        return None
    return Section(TITLE, "measured", text_html(f"{line} The whole table is in {where}."))


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
