"""Chapter of a compression's report: what quantisation costs."""

from fedbert.reporting.compression import sentences as said
from fedbert.reporting.compression.numbers import change, forms, per_seed, t_spread, tasks
from fedbert.reporting.compression.record import CompressionRecord
from fedbert.reporting.parts.page import Cell, Panel, Section, panels_html, table_html


def quantisation(record: CompressionRecord) -> Section | None:
    """Every quantised form: its three sizes, its accuracy, what it costs."""
    listed = forms(record)
    if not listed:
        return None
    names = [task for task in tasks(record) if any(per_seed(form, task) for form in listed)]
    rows: list[list[Cell]] = [
        [
            str(form.get("form", "")),
            said.exact_bytes(form.get("bytes")),
            said.exact_bytes(form.get("download_bytes")),
            said.exact_bytes(form.get("memory_bytes")),
            *(said.percent_points(t_spread(per_seed(form, task))) for task in names),
        ]
        for form in listed
    ]
    columns = ["form", "on disk", "download", "in memory", *(f"{name}, %" for name in names)]
    costs: list[list[Cell]] = [
        [str(form.get("form", "")), *(said.points(change(form, listed[0], task)) for task in names)]
        for form in listed[1:]
    ]
    return Section(
        "What quantisation costs",
        None,
        panels_html(
            Panel(
                "Forms",
                "measured",
                table_html(rows, columns),
                "On disk is the folder as it lies on a phone. Download is what is sent there, "
                "compressed. In memory is what the weights take when loaded.",
                wide=True,
            ),
            Panel(
                f"Points of accuracy against {listed[0].get('form', 'the first form')}",
                "measured",
                table_html(costs, ["form", *names]),
                said.INTERVAL_NOTE,
                wide=True,
            )
            if costs and names
            else None,
        ),
        lead=said.quantisation_sentence(record),
    )
