"""The model card of an artefact, from its manifest alone: what it is for, what it has seen, how good it
is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbert.ei_bert.artefact.artefact import Artefact, download_bytes
from fedbert.ei_bert.artefact.unknown import Threshold, read_thresholds
from fedbert.files import write_bytes
from fedbert.units import format_bytes

_RUN_USE = (
    "Ranking a catalogue of written items for a text, and as release 0 of simulated federated runs. Its "
    "vectors are of unit length; a text's and an item's are compared by their inner product."
)
_TASK_USE = (
    "Classifying short texts with the heads in its folder, and as a frozen encoder to which heads are added "
    "(`compress.py add-head`). Runs refuse it: it has seen texts that they keep private."
)
_LIMITS = (
    "English requests of a sentence or so, up to 64 tokens; what goes beyond is cut. It has the teacher's "
    "biases. Accuracy on other kinds of text is not known: measure it (`compress.py probe`)."
)


def model_card(artefact: Artefact, name: str, thresholds: Mapping[str, Threshold] | None = None) -> str:
    """Return the card as Markdown; `thresholds`, by task, tell texts of no label."""
    manifest = artefact.manifest
    shape, trained = manifest["shape"], manifest.get("trained_on", {})
    tasks = trained.get("tasks", {})
    size = f"{artefact.total_bytes:,} bytes on disk, {download_bytes(artefact):,} entropy coded"
    lines = [
        f"# {name}",
        "",
        f"{manifest['model']}: {size} ({format_bytes(artefact.total_bytes)}), "
        f"{manifest['parameters']:,} parameters.",
        "",
        f"**For.** {_TASK_USE if shape.get('pooled') else _RUN_USE}",
        "",
        f"**Limits.** {_LIMITS}",
        "",
        f"**Shape.** {shape['layers']} layers{', shared' if shape.get('shared') else ''}, "
        f"width {shape['width']}, feed-forward {shape['inner']}, "
        f"embeddings {shape.get('embedding') or shape['width']} wide, "
        f"{shape['vocabulary']:,} tokens, vectors {shape['dim']} wide.",
        "",
        *_wide(manifest.get("wide")),
        f"**Teacher.** {manifest['teacher']['name']}, SHA-256 `{manifest['teacher']['sha256']}`.",
        "",
        f"**Trained on.** {_seen(trained, tasks)}",
        "",
        f"**Scores** (measured): {manifest['scores']['set']}.",
        "",
        *_table(manifest["scores"]),
        "",
        *_unknown(thresholds or {}),
        f"**Made by** `{manifest['command']}`{_then(manifest.get('wide'))}; "
        f"SHA-256 over all files `{artefact.sha256}`.",
        "",
        "Apache-2.0, as the teacher is; the data sets have licences of their own, named in `NOTICE`.",
    ]
    return "\n".join(lines) + "\n"


def write_card(artefact: Artefact, folder: Path) -> None:
    """Write the card beside the artefact's `folder`, as ``NAME.md``, with the thresholds in it."""
    card = model_card(artefact, folder.name, read_thresholds(folder, artefact))
    write_bytes(folder.with_name(f"{folder.name}.md"), card.encode())


def _unknown(thresholds: Mapping[str, Threshold]) -> list[str]:
    lines = []
    for task, each in sorted(thresholds.items()):
        found = each.figures
        lines += [
            f"**I don't know** (measured). {task}: a text whose highest logit is under {each.threshold:.3f}, "
            f"chosen on validation texts, has none of its labels. On {found.known:,} known and "
            f"{found.unknown:,} unknown test texts: AUROC {found.auroc:.3f}; "
            f"{100 * found.false_kept_at_95:.1f} % of the unknown are kept where 95 % of the known are; at "
            f"the threshold {100 * found.known_right:.1f} % of the known are kept and right, "
            f"{100 * found.unknown_caught:.1f} % of the unknown are told, {100 * found.joint:.1f} % of both "
            "are right.",
            "",
        ]
    return lines


def _wide(wide: Mapping[str, Any] | None) -> list[str]:
    if wide is None:
        return []
    return [
        f"**Wide part.** Beside each head a linear layer on {wide['buckets']:,} hashed n-grams, 4 bits a "
        f"value, taught by {wide['taught_by']}; {wide['weight']:g} times its logits are added to the head's.",
        "",
    ]


def _then(wide: Mapping[str, Any] | None) -> str:
    return f", then `{wide['command']}`" if wide else ""


def _seen(trained: Mapping[str, Any], tasks: Mapping[str, str]) -> str:
    if trained.get("public_text_only"):
        return (
            "Public text alone: public requests, plain sentences, written names of services and films. "
            "No text that a simulated user's phone holds."
        )
    return f"The training texts of {', '.join(tasks)}, and plain sentences."


def _table(scores: Mapping[str, Any]) -> list[str]:
    rows = {who: values for who, values in scores.items() if isinstance(values, Mapping)}
    columns = list(next(iter(rows.values()))) if rows else []
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return lines + [
        f"| {who} | {' | '.join(f'{row[c]:.4f}' for c in columns)} |" for who, row in rows.items()
    ]
