"""The model card of an artefact, from its manifest alone: what it is for, what it has seen, how good it
is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbert.ei_bert.artefact.any_heads import kind_of_head, kinds, names_of_head, read_any_head
from fedbert.ei_bert.artefact.artefact import Artefact, download_bytes, is_general
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
_KINDS = {"labels": "labels", "tags": "tags", "pairs": "labels of pairs"}
_GENERAL_USE = (
    "A frozen encoder of general texts that knows no task: heads of anyone's are added to it "
    "(`compress.py add-head`). Runs refuse it: training texts that they keep private may be among its texts."
)
_LIMITS = (
    "English requests of a sentence or so, up to 64 tokens; what goes beyond is cut. It has the teacher's "
    "biases. Accuracy on other kinds of text is not known: measure it (`compress.py probe`)."
)
_GENERAL_LIMITS = _LIMITS.replace("English requests of a sentence or so", "Texts of the kinds it learnt from")
_TOOK = "**Took** "


def model_card(
    artefact: Artefact, name: str, thresholds: Mapping[str, Threshold] | None = None, took: str = ""
) -> str:
    """Return the card as Markdown; `thresholds`, by task, tell texts of no label; `took` is the line of the
    time.
    """
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
        f"**For.** {_use(manifest)}",
        "",
        f"**Limits.** {_GENERAL_LIMITS if is_general(manifest) else _LIMITS}",
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
        *_space(manifest.get("space")),
        *_unknown(thresholds or {}),
        *_heads(artefact),
        f"**Made by** `{manifest['command']}`{_then(manifest.get('wide'))}; "
        f"SHA-256 over all files `{artefact.sha256}`.",
        "",
        *([took, ""] if took else []),
        "Apache-2.0, as the teacher is; the data sets have licences of their own, named in `NOTICE`.",
    ]
    return "\n".join(lines) + "\n"


def write_card(artefact: Artefact, folder: Path, cpu_seconds: float | None = None) -> None:
    """Write the card beside the artefact's `folder`, as ``NAME.md``, with the thresholds in it.

    `cpu_seconds` is the processor time of all that made it. None leaves what an older card of the same files
    says: the manifest has no time, for the same seed gives the same files.
    """
    file = folder.with_name(f"{folder.name}.md")
    took = _took_before(file, artefact) if cpu_seconds is None else _took(cpu_seconds)
    card = model_card(artefact, folder.name, read_thresholds(folder, artefact), took)
    write_bytes(file, card.encode())


def _took(cpu_seconds: float) -> str:
    minutes = f"{cpu_seconds / 60:.1f} min"
    return f"{_TOOK}{minutes} of processor time, all stages and threads together (measured)."


def _took_before(file: Path, artefact: Artefact) -> str:
    """Return the line of the time in the card `file`, if it is a card of the same files."""
    if not file.is_file():
        return ""
    lines = file.read_text("utf-8").splitlines()
    is_same = any(artefact.sha256 in line for line in lines)
    return next((line for line in lines if line.startswith(_TOOK)), "") if is_same else ""


def _space(space: Mapping[str, Any] | None) -> list[str]:
    if space is None:
        return []
    before, after = space["before"], space["after"]
    return [
        f"**Space** (measured). Its vectors are turned into the space of `{space['of']}`: nDCG@10 of the "
        f"same requests is {after['texts_by_this']:.4f} with its texts over that one's names "
        f"({before['texts_by_this']:.4f} before), and {after['names_by_this']:.4f} the other way round "
        f"({before['names_by_this']:.4f}).",
        "",
    ]


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
    return f", then `{wide['command']}`" if wide and wide.get("command") else ""


def _heads(artefact: Artefact) -> list[str]:
    """Return what kind each head is of, where one does not label texts."""
    heads = {task: read_any_head(body, task) for task, body in sorted(artefact.heads.items())}
    if all(kind == "labels" for kind in kinds(artefact).values()):
        return []
    named = [
        f"{task} ({len(names_of_head(head))} {_KINDS[kind_of_head(head)]}, "
        f"{len(artefact.heads[task]):,} bytes)"
        for task, head in heads.items()
    ]
    return [f"**Heads.** {'; '.join(named)}.", ""]


def _use(manifest: Mapping[str, Any]) -> str:
    if is_general(manifest):
        return _GENERAL_USE
    return _TASK_USE if manifest["shape"].get("pooled") else _RUN_USE


def _seen(trained: Mapping[str, Any], tasks: Mapping[str, str]) -> str:
    if trained.get("public_text_only"):
        return (
            "Public text alone: public requests, plain sentences, written names of services and films. "
            "No text that a simulated user's phone holds."
        )
    if trained and not tasks:
        made, files = sum(trained["made_texts"]), ", ".join(trained["sources_sha256"])
        return (
            f"{trained['sentences']:,} general sentences and requests, and {made:,} texts made of these and "
            f"of words, by the teacher's vectors alone: no label. Sources: {files}."
        )
    return f"The training texts of {', '.join(tasks)}, and plain sentences."


def _table(scores: Mapping[str, Any]) -> list[str]:
    rows = {who: values for who, values in scores.items() if isinstance(values, Mapping)}
    columns = list(next(iter(rows.values()))) if rows else []
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return lines + [
        f"| {who} | {' | '.join(f'{row[c]:.4f}' for c in columns)} |" for who, row in rows.items()
    ]
