"""The server's step: items follow users' words, texts stay, two runs give the same bits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from fedbert.ei_bert.artefact.artefact import load_artefact
from fedbert.ei_bert.artefact.runtime import Int8Encoder
from fedbert.ei_bert.compression.scores import zero_shot
from fedbert.ei_bert.teaching.model_state import Learning, LearningRates, ModelState
from fedbert.ei_bert.teaching.server_models import ServerModels, ServerTexts, training_draws
from fedbert.errors import FedbertError
from fedbert.paths import data_folder, models_folder

Floats = NDArray[np.float32]
WORDS = ("alarm", "bank", "music", "light", "taxi", "recipe", "weather")


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
            ServerTexts(self.names, public.text.tolist(), public.item.to_numpy()),
            training_draws(3),
            threads=1,
        )
        self.start = self.models.start
        sums = np.zeros((40, self.models.dim), np.float32)
        np.add.at(sums, self.items, self.models.student_vectors(self.start, self.texts))
        self.targets: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Forty services; tests share its models, and each has states of its own."""
    threads = torch.get_num_threads()
    yield World()
    torch.set_num_threads(threads)


def _scores(encoder: Int8Encoder, world: World) -> float:
    texts, names = encoder.encode(world.texts), encoder.encode(world.names, "item")
    return zero_shot(texts, names, world.items).ndcg_at_10


def _to_targets(world: World, state: ModelState) -> float:
    """Return the mean cosine of the items' vectors to their targets."""
    return float((world.models.item_vectors(state) * world.targets).sum(axis=1).mean())


def test_items_follow_users_words_and_texts_stay(world: World) -> None:
    """After 12 updates the int8 student ranks far better; other services' texts have hardly moved."""
    models, state = world.models, world.start
    before, cosines = Int8Encoder(models.export(state)), [_to_targets(world, state)]
    for round_ in range(1, 13):
        state, _ = models.update(state, round_, world.targets, np.ones(40, np.float32), 8)
        cosines.append(_to_targets(world, state))
    after = Int8Encoder(models.export(state))
    assert _scores(after, world) > _scores(before, world) + 0.02
    assert cosines[-1] > 0.97
    assert cosines[:5] == sorted(cosines[:5])
    old, new = (encoder.encode(world.other).astype(float) for encoder in (before, after))
    cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    assert cosine.mean() > 0.99


def _equal(one: ModelState, two: ModelState) -> bool:
    """Return whether two states have the same names, types, shapes and bits."""
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype
        and one[name].shape == two[name].shape
        and one[name].tobytes() == two[name].tobytes()
        for name in one
    )


def test_two_runs_give_the_same_bits(world: World) -> None:
    """Same state, same rounds: same loss, same state, same artefact to the byte, whatever lay between."""
    models, weights = world.models, np.linspace(0, 1, 40, dtype=np.float32)
    one = two = world.start
    for round_ in (1, 2):
        one, said = models.update(one, round_, world.targets, weights, 2)
        two, said_again = models.update(two, round_, world.targets, weights, 2)
        assert said == said_again
        assert _equal(one, two)
    assert not _equal(one, world.start)
    assert models.export(one).files == models.export(two).files


def test_a_state_is_a_value(world: World) -> None:
    """Updating a state, and using another, changes neither: vectors, export and bits are as they were."""
    models = world.models
    state, _ = models.update(world.start, 1, world.targets, np.ones(40, np.float32), 2)
    before, sha256 = models.item_vectors(state), models.export(state).sha256
    kept = {name: array.copy() for name, array in state.items()}
    other, _ = models.update(state, 2, world.targets, np.ones(40, np.float32), 2)
    assert not np.array_equal(before, models.item_vectors(other))
    models.teacher_vectors(world.start, world.names)
    assert np.array_equal(before, models.item_vectors(state))
    assert models.export(state).sha256 == sha256
    assert _equal(kept, state)


def test_a_state_of_other_models_is_refused(world: World) -> None:
    """A state that lacks an array, or has one of another shape, is one line that names it."""
    name = next(name for name in world.start if name.endswith("#exp_avg"))
    lacking = {key: array for key, array in world.start.items() if key != name}
    for broken in (lacking, {**world.start, name: np.zeros(3, np.float32)}):
        with pytest.raises(FedbertError, match=f"model state: {name} is missing or of another shape"):
            world.models.item_vectors(broken)


def _names(items: int) -> list[str]:
    return [
        f"Service {number}: {WORDS[number % 7]} {WORDS[number // 7 % 7]} {number}" for number in range(items)
    ]


def _small(items: int, teacher_rate: float) -> ServerModels:
    """Return the smallest models, over so many made-up items."""
    return ServerModels.load(
        models_folder() / "tiny",
        models_folder() / "tiny-server",
        None,
        ServerTexts(_names(items), [f"please {word} my {other}" for word in WORDS for other in WORDS]),
        training=training_draws(5),
        threads=1,
        rates=LearningRates(teacher=teacher_rate),
    )


def _targets(items: int, dim: int) -> Floats:
    targets = np.random.default_rng(items).normal(size=(items, dim)).astype(np.float32)
    return targets / np.linalg.norm(targets, axis=1, keepdims=True)


@pytest.mark.parametrize(("items", "teacher_rate"), [(40, 0.0), (40, 3e-5), (520, 0.0), (520, 3e-5)], ids=str)
def test_a_saved_state_goes_on_in_fresh_models(items: int, teacher_rate: float) -> None:
    """Through safetensors into models that were never used, a state goes on to the same bits: losses,
    states, artefact. Beyond 512 items the teacher's are computed one by one, and sampled. What a state holds
    of the teacher is what it learns.
    """
    models, weights = _small(items, teacher_rate), np.linspace(0, 1, items, dtype=np.float32)
    assert (models._together == 1) == (items > 512)
    assert any(name.startswith("teacher.") for name in models.start) == (teacher_rate > 0)
    targets = _targets(items, models.dim)
    state, _ = models.update(models.start, 1, targets, weights, 2)
    blob = save({name: np.asarray(array, order="C") for name, array in state.items()})
    straight, said = models.update(state, 2, targets, weights, 2)
    exported = models.export(straight).files

    resumed = _small(items, teacher_rate)
    taken_up, said_again = resumed.update(load(blob), 2, targets, weights, 2)
    assert said_again == said
    assert _equal(taken_up, straight)
    assert resumed.export(taken_up).files == exported


def test_items_without_weight_stay(world: World) -> None:
    """Items that no one spoke of (weight 0) move far less than those with weight 1."""
    models, state = world.models, world.start
    before = models.item_vectors(state)
    weights = np.zeros(40, np.float32)
    weights[::2] = 1.0
    for round_ in range(1, 4):
        state, _ = models.update(state, round_, world.targets, weights, 4)
    moved = 1 - (before * models.item_vectors(state)).sum(1)
    assert moved[1::2].mean() < 0.4 * moved[::2].mean()


def _taught(models: ServerModels, targets: Floats) -> ModelState:
    state = models.start
    for round_ in (1, 2):
        state, _ = models.update(state, round_, targets, np.ones(len(targets), np.float32), 3)
    return state


def test_a_teacher_learns_if_it_has_a_rate() -> None:
    """With one, its vectors of names come nearer to users' words; without, as by default, they keep their
    bits, and the student learns as beside a teacher whose rate is next to nothing.
    """
    stays, learns, hardly = (_small(40, rate) for rate in (0.0, 3e-4, 1e-12))
    targets = _targets(40, stays.dim)
    ended = [_taught(models, targets) for models in (stays, learns, hardly)]

    def of_teacher(models: ServerModels, state: ModelState) -> Floats:
        return models.teacher_vectors(state, _names(40), "item")

    start = of_teacher(stays, stays.start)
    assert np.array_equal(of_teacher(stays, ended[0]), start)
    assert (of_teacher(learns, ended[1]) * targets).sum(1).mean() > (start * targets).sum(1).mean()
    one, two = stays.item_vectors(ended[0]), hardly.item_vectors(ended[2])
    assert np.abs(one - two).max() < 1e-4
    assert np.abs(one - stays.item_vectors(stays.start)).max() > 0.02


def test_a_step_is_that_of_torchs_own_optimiser(world: World) -> None:
    """Each weight moves as under `torch.optim.Adam` with clipped gradients, to the bit."""
    student, teacher = world.models._student, world.models._teacher
    learning = Learning(student, teacher, LearningRates(student=0.01))
    slots = {slot.name: slot for slot in learning._student}
    copies = {name: slot.weight.detach().clone().requires_grad_() for name, slot in slots.items()}
    groups = [{"params": [copies[name]], "lr": 0.01 * slot.factor} for name, slot in slots.items()]
    reference = torch.optim.Adam(groups, betas=(0.9, 0.98))
    learning.begin()
    for _ in range(3):
        for place in (copies, {name: slot.weight for name, slot in slots.items()}):
            loss = torch.stack([(weight**2).sum() for weight in place.values()]).sum() * 100
            if place is copies:
                grads = torch.autograd.grad(loss, list(copies.values()))
                for weight, grad in zip(copies.values(), grads, strict=True):
                    weight.grad = grad
                torch.nn.utils.clip_grad_norm_(list(copies.values()), 5.0)
                reference.step()
            else:
                learning.step(loss, loss, None)
    taken = learning.take()
    assert all(np.array_equal(taken[name], copies[name].detach().numpy()) for name in copies)
    world.models._learning.put(dict(world.start))


def test_export_of_release_0_agrees_with_the_shipped_file(world: World) -> None:
    """The server's own export ranks as the shipped artefact does, and fits the budget."""
    shipped, made = load_artefact(models_folder() / "default"), world.models.export(world.start)
    assert made.total_bytes <= 1_910_000
    one, two = (Int8Encoder(part).encode(world.texts).astype(float) for part in (shipped, made))
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert cosine.min() > 0.99


def test_int8_follows_the_float_student(world: World) -> None:
    """Int8 and float vectors of one text have a mean cosine over .995."""
    made = Int8Encoder(world.models.export(world.start)).encode(world.other).astype(float)
    cosine = (made * world.models.student_vectors(world.start, world.other)).sum(1) / np.linalg.norm(
        made, axis=1
    )
    assert cosine.mean() > 0.995


@pytest.mark.parametrize("broken", ["shape", "nan", "weight"])
def test_targets_that_cannot_be_are_refused(world: World, broken: str) -> None:
    """Wrong shapes, NaN and weights outside 0..1 are errors before anything is changed."""
    before = world.models.item_vectors(world.start)
    targets, weights = world.targets.copy(), np.ones(40, np.float32)
    if broken == "shape":
        targets = targets[:5]
    elif broken == "nan":
        targets[0, 0] = np.nan
    else:
        weights[3] = 1.5
    with pytest.raises(FedbertError):
        world.models.update(world.start, 1, targets, weights, 1)
    assert np.array_equal(before, world.models.item_vectors(world.start))


@pytest.mark.parametrize("name", ["student.safetensors", "teacher.safetensors", "server.json"])
def test_a_broken_server_folder_is_one_line(tmp_path: Path, name: str) -> None:
    """A missing or changed file of the server folder is named."""
    source = models_folder() / "default-server"
    for path in source.iterdir():
        cut = 9 if path.name == name else 0
        (tmp_path / path.name).write_bytes(path.read_bytes()[cut:])
    with pytest.raises(FedbertError) as caught:
        ServerModels.load(models_folder() / "default", tmp_path, None, ServerTexts(["a"], ["b"]), threads=1)
    assert "\n" not in str(caught.value)
