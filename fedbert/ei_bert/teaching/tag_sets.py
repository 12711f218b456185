"""Tagging sets: tables of `text,tags[,split]`, words and their BIO tags each separated by blanks."""

from dataclasses import dataclass
from pathlib import Path

from fedbert.ei_bert.artefact.bio import OUTSIDE, misplaced
from fedbert.ei_bert.teaching.splits import Split, held_out
from fedbert.ei_bert.teaching.tasks import SPLITS, named_splits
from fedbert.files import sha256_of
from fedbert.user_tables import TableFacts, UserTable, read_table


@dataclass(frozen=True)
class TaggedPart:
    """Texts as words, and a tag for each word."""

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.words)

    def texts(self) -> list[str]:
        """Return the words of each text with blanks between them."""
        return [" ".join(words) for words in self.words]


@dataclass(frozen=True)
class TagSet:
    """One tagging set. `tags` are `O` and the tags of its training texts, sorted; a part may be empty.

    `read` is what was read of its file.
    """

    name: str
    tags: tuple[str, ...]
    train: TaggedPart
    validation: TaggedPart
    test: TaggedPart
    sha256: str
    read: TableFacts

    def parts(self) -> tuple[tuple[Split, TaggedPart], ...]:
        """Return the three splits by name."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))


def load_tag_set(path: Path) -> TagSet:
    """Read the tagging set of one file.

    Without a split column every fifth text is for the test. Raises FedbertError in one line, naming the row,
    for tags that do not fit the words or each other.
    """
    table = read_table("data", path, ("text", "tags"), ("split",))
    words = [tuple(text.split()) for text in table.text("text").to_pylist()]
    tags = [tuple(text.split()) for text in table.text("tags").to_pylist()]
    for row, (own_words, own_tags) in enumerate(zip(words, tags, strict=True)):
        _check(table, row, own_words, own_tags)
    texts = [" ".join(own) for own in words]
    splits = named_splits(table) if "split" in table else held_out(texts, [""] * len(texts))
    chosen = {split: [row for row, own in enumerate(splits) if own == split] for split in SPLITS}
    parts = {
        split: TaggedPart(tuple(words[row] for row in rows), tuple(tags[row] for row in rows))
        for split, rows in chosen.items()
    }
    names = {tag for own in parts["train"].tags for tag in own} | {OUTSIDE}
    if len(names) < 2:
        raise table.refused("have an entity in split train", "check columns tags and split")
    train, validation, test = (parts[split] for split in SPLITS)
    return TagSet(path.stem, tuple(sorted(names)), train, validation, test, sha256_of(path), table.facts)


def _check(table: UserTable, row: int, words: tuple[str, ...], tags: tuple[str, ...]) -> None:
    if not words:
        raise table.bad(row, "text", "", "not be empty", "fill it in or drop the row")
    if len(words) != len(tags):
        rule = f"have a tag for each word ({len(words)} words, {len(tags)} tags)"
        raise table.bad(row, "tags", " ".join(tags), rule, "separate words, and tags, by blanks")
    if (wrong := misplaced(tags)) is not None:
        raise table.bad(row, f"tag {wrong[0] + 1}", tags[wrong[0]], wrong[1], "mend the row")
