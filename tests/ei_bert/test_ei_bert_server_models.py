"""The server's step: items follow users' words, texts stay, two runs give the same bits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from fedbert.ei_bert.artefact import load_artefact
from fedbert.ei_bert.runtime import Int8Encoder
from fedbert.ei_bert.scores import zero_shot
from fedbert.ei_bert.server_models import ServerModels
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder

Floats = NDArray[np.float32]


class World:
    """Forty services with texts that release 0 never saw, and texts of others, which must not move."""

    def __init__(self) -> None:
        items = pd.read_parquet(data_folder() / "services" / "items.parquet")
        public = pd.read_parquet(data_folder() / "services" / "public.parquet")
        private = pd.read_parquet(data_folder() / "services" / "private.parquet")
        chosen = items.item[~items.public].tolist()[:40]
        self.names = items.text[chosen].tolist()
        learning = private[private.split == "learning"]
        requests = learning[learning.item.isin(chosen)].groupby("item").head(12)
        self.texts = requests.text.tolist()
        self.items = np.array([chosen.index(item) for item in requests.item])
        self.other = learning[~learning.item.isin(chosen)].text.sample(150, random_state=3).tolist()
        self.models = ServerModels.load(
            models_folder() / "default",
            models_folder() / "default-server",
            None,
            self.names,
            public.text.tolist(),
            public.item.to_numpy(),
            seed=3,
            threads=1,
        )
        sums = np.zeros((40, self.models.dim), np.float32)
        np.add.at(sums, self.items, self.models.student_vectors(self.texts))
        self.targets: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Forty services; tests work on clones of its models."""
    threads = torch.get_num_threads()
    yield World()
    torch.set_num_threads(threads)


def _scores(encoder: Int8Encoder, world: World) -> float:
    texts, names = encoder.encode(world.texts), encoder.encode(world.names, "item")
    return zero_shot(texts, names, world.items).ndcg_at_10


def test_items_follow_users_words_and_texts_stay(world: World) -> None:
    """After 12 updates the int8 student ranks far better; other services' texts have hardly moved."""
    models = world.models.clone()
    before = Int8Encoder(models.export())
    reports = [models.update(r, world.targets, np.ones(40, np.float32), 8) for r in range(1, 13)]
    after = Int8Encoder(models.export())
    assert _scores(after, world) > _scores(before, world) + 0.02
    assert reports[-1].item_cosine_after > 0.97
    assert all(a.item_cosine_after >= a.item_cosine_before for a in reports[:4])
    old, new = (encoder.encode(world.other).astype(float) for encoder in (before, after))
    cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    assert cosine.mean() > 0.99
    assert reports[-1].text_drift < 0.01


def test_two_runs_give_the_same_bits(world: World) -> None:
    """Same seed, same rounds: same report, same artefact to the byte; a clone goes on as the original."""
    one, two = world.models.clone(), world.models.clone()
    weights = np.linspace(0, 1, 40, dtype=np.float32)
    for round_ in (1, 2):
        assert one.update(round_, world.targets, weights, 2) == two.update(round_, world.targets, weights, 2)
    three = one.clone()
    assert one.update(3, world.targets, weights, 1) == three.update(3, world.targets, weights, 1)
    assert one.export().files == three.export().files


def test_a_clone_is_independent(world: World) -> None:
    """Updating a clone leaves the original's vectors and export as they were."""
    before, sha256 = world.models.item_vectors(), world.models.export().sha256
    world.models.clone().update(1, world.targets, np.ones(40, np.float32), 2)
    assert np.array_equal(before, world.models.item_vectors())
    assert world.models.export().sha256 == sha256


def test_items_without_weight_stay(world: World) -> None:
    """Items that no one spoke of (weight 0) move far less than those with weight 1."""
    models = world.models.clone()
    before = models.item_vectors()
    weights = np.zeros(40, np.float32)
    weights[::2] = 1.0
    for round_ in range(1, 4):
        models.update(round_, world.targets, weights, 4)
    moved = 1 - (before * models.item_vectors()).sum(1)
    assert moved[1::2].mean() < 0.4 * moved[::2].mean()


def test_the_teacher_learns_too(world: World) -> None:
    """The teacher's vectors of names come nearer to users' words, at its small rate."""
    models = world.models.clone()
    start = (models.teacher_vectors(world.names, "item") * world.targets).sum(1).mean()
    for round_ in range(1, 4):
        models.update(round_, world.targets, np.ones(40, np.float32), 6)
    assert (models.teacher_vectors(world.names, "item") * world.targets).sum(1).mean() > start


def test_export_of_release_0_agrees_with_the_shipped_file(world: World) -> None:
    """The server's own export ranks as the shipped artefact does, and fits the budget."""
    shipped, made = load_artefact(models_folder() / "default"), world.models.export()
    assert made.total_bytes <= 1_910_000
    one, two = (Int8Encoder(part).encode(world.texts).astype(float) for part in (shipped, made))
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert cosine.min() > 0.99


def test_int8_follows_the_float_student(world: World) -> None:
    """Int8 and float vectors of one text have a mean cosine over .995."""
    made = Int8Encoder(world.models.export()).encode(world.other).astype(float)
    cosine = (made * world.models.student_vectors(world.other)).sum(1) / np.linalg.norm(made, axis=1)
    assert cosine.mean() > 0.995


@pytest.mark.parametrize("broken", ["shape", "nan", "weight"])
def test_targets_that_cannot_be_are_refused(world: World, broken: str) -> None:
    """Wrong shapes, NaN and weights outside 0..1 are errors before anything is changed."""
    targets, weights = world.targets.copy(), np.ones(40, np.float32)
    if broken == "shape":
        targets = targets[:5]
    elif broken == "nan":
        targets[0, 0] = np.nan
    else:
        weights[3] = 1.5
    with pytest.raises(FedbertError):
        world.models.clone().update(1, targets, weights, 1)


@pytest.mark.parametrize("name", ["student.safetensors", "teacher.safetensors", "server.json"])
def test_a_broken_server_folder_is_one_line(tmp_path: Path, name: str) -> None:
    """A missing or changed file of the server folder is named."""
    source = models_folder() / "default-server"
    for path in source.iterdir():
        cut = 9 if path.name == name else 0
        (tmp_path / path.name).write_bytes(path.read_bytes()[cut:])
    with pytest.raises(FedbertError) as caught:
        ServerModels.load(models_folder() / "default", tmp_path, None, ["a"], ["b"], None, 0, 1)
    assert "\n" not in str(caught.value)
