"""Where a general encoder's texts come from: sets of texts, a file of sentences, the shipped public text."""

from collections.abc import Sequence
from pathlib import Path

from fedbert.ei_bert.compression.general_goal import GeneralTexts
from fedbert.ei_bert.compression.public_text import general_sentences, sentence_lines
from fedbert.ei_bert.teaching.outside_vectors import OutsideTeacher
from fedbert.ei_bert.teaching.tasks import Task
from fedbert.paths import data_folder


def general_texts(
    tasks: Sequence[Task],
    general_text: Path | None,
    outside: OutsideTeacher | None = None,
    public: Path | None = None,
) -> GeneralTexts:
    """Return what a general encoder reads: training texts of `tasks` without their labels, the shipped
    general sentences, and those of `general_text`.

    A teacher of vectors alone (`outside`) may be of any language: the shipped sentences are left out, and
    without `tasks` and `general_text` its own texts are read. `public` is a folder of the shipped form that
    the sentences are taken from. Raises FedbertError for a file that cannot be.
    """
    sources = {task.name: task.sha256 for task in tasks}
    requests = [text for task in tasks for text in task.train.texts]
    sentences: list[str] = []
    if outside is None:
        some, files = general_sentences(public or data_folder(), None)
        requests += some
        sources |= files
    elif not tasks and general_text is None:
        sentences += outside.known
        sources[outside.name] = outside.sha256
    sentences += sentence_lines(general_text, sources)
    never = tuple(text for task in tasks for text in task.test.texts)
    return GeneralTexts(tuple(requests), tuple(sentences), never, sources)
