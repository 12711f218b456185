"""A family: one release in several sizes, whose vectors lie in one space.

It is taken wherever an artefact is, and there stands for its largest member: most of what is asked of a
release has nothing to do with its sizes. A release of one size is a plain artefact.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from fedbert.ei_bert.artefact import artefact as one
from fedbert.ei_bert.artefact.artefact import Artefact
from fedbert.errors import FedbertError

_MEMBER = "size-{}"


@dataclass(frozen=True)
class Family(Artefact):
    """The files of the largest member, and the others behind it, from large to small."""

    smaller: tuple[Artefact, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 over those of all members, in hexadecimal."""
        own = [super().sha256, *(each.sha256 for each in self.smaller)]
        return hashlib.sha256("\n".join(own).encode()).hexdigest()


def members(artefact: Artefact) -> tuple[Artefact, ...]:
    """Return the sizes of a release, the largest first: those of a family, or the artefact itself."""
    if isinstance(artefact, Family):
        return (Artefact(artefact.files, artefact.manifest), *artefact.smaller)
    return (artefact,)


def joined(sizes: Sequence[Artefact]) -> Artefact:
    """Return `sizes`, the largest first, as one release: `members` gives them back."""
    first, *smaller = sizes
    return Family(first.files, first.manifest, tuple(smaller)) if smaller else first


def check_one_space(names: Sequence[str], sizes: Sequence[Artefact]) -> None:
    """Raise FedbertError unless each of `sizes` lies in the space of the first, and is smaller than the last.

    `names` are what the user knows them by.
    """
    first = sizes[0]
    for place in range(1, len(sizes)):
        space = sizes[place].manifest.get("space", {})
        if space.get("of_sha256") != first.sha256 or sizes[place].dim != first.dim:
            raise FedbertError(
                f"model {names[place]} must lie in the space of {names[0]}, so that their signals add up; "
                f"turn it by `fedbert compress align --model {names[place]} --to {names[0]}`"
            )
        if sizes[place].total_bytes >= sizes[place - 1].total_bytes:
            raise FedbertError(
                f"model {names[place]} must be smaller than {names[place - 1]}; compress it further"
            )


def pack(artefact: Artefact) -> bytes:
    """Return a release of one size or several as one blob; equal releases give equal bytes."""
    packed = [one.pack(each) for each in members(artefact)]
    if len(packed) == 1:
        return packed[0]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for place, blob in enumerate(packed):
            archive.writestr(zipfile.ZipInfo(_MEMBER.format(place), (1980, 1, 1, 0, 0, 0)), blob)
    return stream.getvalue()


def unpack(blob: bytes) -> Artefact:
    """Return the release that `pack` made into `blob`; raises FedbertError for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            names = archive.namelist()
            several = [_MEMBER.format(place) for place in range(len(names))]
            packed = [archive.read(name) for name in names] if names and names == several else None
    except (zipfile.BadZipFile, KeyError):
        packed = None  # which says what is wrong with it
    return one.unpack(blob) if packed is None else joined([one.unpack(each) for each in packed])
