"""Students of several sizes share one space: a rotation changes no ranking of its own."""

import numpy as np
import pytest

from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.one_space import Space, align, rotation
from fedbert.ei_bert.compression.public_text import load_public_text
from fedbert.ei_bert.compression.scores import zero_shot
from fedbert.ei_bert.teaching.teacher import load_teacher
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder


def test_rotation_of_a_quarter_turn() -> None:
    """Vectors that are turned by a quarter are turned back, to the sign."""
    mine = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    theirs = np.array([[0, 1], [-1, 0], [-1, 1]], np.float32)
    np.testing.assert_allclose(rotation(mine, theirs), [[0, 1], [-1, 0]], atol=1e-6)


def test_rotation_keeps_inner_products() -> None:
    """Whatever the vectors, the result is orthogonal: inner products stay as they are."""
    rng = np.random.default_rng(0)
    found = rotation(rng.normal(size=(20, 5)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32))
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-6)


def test_widths_must_agree() -> None:
    """Spaces of two widths cannot be one: the error says both."""
    with pytest.raises(FedbertError, match="3 and 2 wide"):
        rotation(np.ones((4, 3), np.float32), np.ones((4, 2), np.float32))


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_shipped_sizes_share_the_space_of_the_default(name: str) -> None:
    """Texts by a smaller student find names by the default as well as their own, within .01 nDCG@10."""
    public = load_public_text(data_folder())
    mine, default = (Int8Encoder(load_artefact(models_folder() / each)) for each in (name, "default"))
    texts = mine.encode(public.checks)
    own, theirs = (each.encode(public.names, "item") for each in (mine, default))
    alone = zero_shot(texts, own, public.check_items).ndcg_at_10
    assert zero_shot(texts, theirs, public.check_items).ndcg_at_10 > alone - 0.01


def test_alignment_to_itself_changes_nothing_that_is_ranked() -> None:
    """A student aligned to its own space keeps its scores, and its manifest says whose space it is in."""
    folder = models_folder() / "tiny"
    tiny, public = load_artefact(folder), load_public_text(data_folder())
    server = folder.with_name("tiny-server")
    made = align(tiny, server, Space("tiny", tiny), public, load_teacher(None), "second")
    assert abs(made.alone.ndcg_at_10 - tiny.manifest["scores"]["student, int8"]["ndcg_at_10"]) < 0.003
    assert made.after.cosine > 0.999
    assert made.artefact.manifest["space"]["of"] == "tiny"
    assert made.artefact.manifest["command"].endswith(" && second")
    assert made.artefact.manifest["command"].count("&&") == 1


def test_students_of_tasks_are_refused() -> None:
    """A student of tasks gives pooled states to heads: there is no space to share."""
    tasks = load_artefact(models_folder() / "intents-tiny")
    server = models_folder() / "intents-tiny-server"
    with pytest.raises(FedbertError, match="student of tasks"):
        align(tasks, server, Space("self", tasks), load_public_text(data_folder()), load_teacher(None), "x")
