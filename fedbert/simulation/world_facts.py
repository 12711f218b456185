"""What a run has read before it begins: facts of world and trace for run.json, lines for the terminal."""

from fedbert.federation.environment import Environment
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.results import WorldFacts

UNKNOWN_SHARE_LIMIT = 0.1
"""Share of tokens that release 0 cannot read, above which a run says that its text figures mean little."""


def world_facts(environment: Environment) -> WorldFacts:
    """Return what the report says of the world, and what was read of the user's own files."""
    world, devices = environment.world, environment.scenario.devices
    evaluation = int(world.evaluation_text.sum())
    reused = world.users is not None and world.users < devices
    facts: WorldFacts = {
        "name": world.name,
        "items": len(world.public.catalogue.texts),
        "public_texts": len(world.public.texts),
        "private_texts": len(world.texts) - evaluation,
        "evaluation_texts": evaluation,
        "users": world.users,
        "unknown_token_share": environment.unknown_token_share,
        "note": world.reuse_note if reused else None,
    }
    if isinstance(world, SequenceWorld) and world.read is not None:
        facts["read"] = world.read.row()
    if environment.trace is not None:
        facts["trace"] = environment.trace.facts.row()
    return facts


def lines_read(environment: Environment) -> tuple[str, ...]:
    """Return lines on what was read of the user's files, scaled shares, and what the model cannot read."""
    lines = list(environment.profile_notes)
    world, trace = environment.world, environment.trace
    if isinstance(world, SequenceWorld) and world.read is not None:
        lines += world.read.lines()
    if trace is not None:
        lines += trace.facts.lines()
    share = environment.unknown_token_share
    if share > UNKNOWN_SHARE_LIMIT:
        lines.append(
            f"warning: {share:.0%} of the tokens of this world's texts are unknown to the model: its "
            "vocabulary lacks their words or script, and figures of text mean little"
        )
    return tuple(lines)
