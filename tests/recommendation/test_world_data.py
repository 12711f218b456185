"""The shipped worlds: splits apart, public apart from private, every service named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fedbert.errors import FedbertError
from fedbert.parts import WORLDS
from fedbert.paths import data_folder
from fedbert.recommendation import catalogue
from fedbert.recommendation.sequences import SequenceWorld
from fedbert.recommendation.services import ServicesWorld
from fedbert.recommendation.text import normalise
from fedbert.recommendation.world import load_public, load_world


def normalised(texts: list[str]) -> set[str]:
    """Return the forms in which splits are compared."""
    return {normalise(text) for text in texts}


def by_split(texts: tuple[str, ...], split: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the texts of each split."""
    result: dict[str, list[str]] = {}
    for text, name in zip(texts, split, strict=True):
        result.setdefault(name, []).append(text)
    return result


def test_no_normalised_text_stands_in_two_splits(services: ServicesWorld) -> None:
    """General, train, validation, learning and evaluation share no text, and none has one twice."""
    splits = by_split(services.public.texts, services.public.split)
    private = np.array(services.texts, object)
    splits["learning"] = list(private[~services.evaluation_text])
    splits["evaluation"] = list(private[services.evaluation_text])
    assert sorted(splits) == ["evaluation", "general", "learning", "train", "validation"]
    forms = [normalised(texts) for texts in splits.values()]
    assert sum(len(form) for form in forms) == len(set().union(*forms))
    assert all(len(form) == len(texts) for form, texts in zip(forms, splits.values(), strict=True))
    assert not any("" in form for form in forms)


def test_names_are_no_utterances(services: ServicesWorld) -> None:
    """A service's written name is no text of any user."""
    assert not normalised(list(services.public.catalogue.texts)) & normalised(list(services.texts))


def test_public_texts_are_of_the_listed_intents_only(services: ServicesWorld) -> None:
    """Labelled public text is of the manifest's 75 intents, and 10 texts a service are validation."""
    items = pq.read_table(data_folder() / "services" / "items.parquet").to_pydict()
    listed = set(services.public.manifest["public_intents"])
    owners = {items["intent"][item] for item in services.public.item if item >= 0}
    assert owners == listed
    assert len(listed) == 75
    validation = np.array(services.public.split) == "validation"
    count = np.bincount(services.public.item[validation], minlength=len(items["item"]))
    assert sorted(set(count)) == [0, 10]
    assert np.array_equal(count > 0, items["public"])
    assert all(
        split == "general"
        for split, item in zip(services.public.split, services.public.item, strict=True)
        if item < 0
    )


def test_every_service_has_texts_to_learn_from_and_to_be_scored_on(services: ServicesWorld) -> None:
    """Each of the 278 services has a distinct name, learning texts and evaluation texts."""
    assert services.public.catalogue.items == 291 - len(services.public.manifest["merges"]) == 278
    assert len(set(services.public.catalogue.texts)) == 278
    assert services.learning.count.min() >= 10
    assert services.evaluation.count.min() >= 3


def test_the_manifest_counts_what_is_there(services: ServicesWorld) -> None:
    """`manifest.json` has the true number of texts of each split."""
    counted = {
        name: len(texts) for name, texts in by_split(services.public.texts, services.public.split).items()
    }
    counted["learning"] = int((~services.evaluation_text).sum())
    counted["evaluation"] = int(services.evaluation_text.sum())
    assert counted == services.public.manifest["texts"]


def test_catalogues_are_consistent(services: ServicesWorld, films: SequenceWorld) -> None:
    """Popularity sums to 1 and orders the default list; an item has 20 distinct neighbours and is not one."""
    for world in (services, films):
        goods = world.public.catalogue
        assert goods.popularity.sum() == pytest.approx(1.0, abs=1e-12)
        assert goods.popularity.min() > 0
        assert np.all(np.diff(goods.popularity[np.argsort(goods.default_rank)]) <= 0)
        assert goods.neighbours.shape == (goods.items, 20)
        ordered = np.sort(goods.neighbours, axis=1)
        assert np.all(ordered[:, 1:] > ordered[:, :-1])
        assert not np.any(goods.neighbours == np.arange(goods.items)[:, None])


@pytest.mark.parametrize("name", ["services", "movietweetings"])
def test_the_public_part_loads_where_private_files_do_not_exist(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load_public` needs no private file: it works in a package without them, `load_world` does not."""
    folder = tmp_path / name
    folder.mkdir()
    for file in ("items.parquet", "public.parquet", "manifest.json"):
        shutil.copy(data_folder() / name / file, folder)
    whole = load_public(name)
    for module in ("catalogue", "services", "sequences"):
        monkeypatch.setattr(f"fedbert.recommendation.{module}.data_folder", lambda: tmp_path)
    part = load_public(name)
    assert part.texts == whole.texts
    assert part.catalogue.texts == whole.catalogue.texts
    with pytest.raises(FedbertError, match="is missing from the installed package; install fedbert again"):
        load_world(name)


def test_no_private_text_is_reachable_from_public_data(services: ServicesWorld) -> None:
    """Nothing in `PublicData` is a text of a phone: not as a text, a name or a word of the manifest."""
    public = services.public
    reachable = {*public.texts, *public.catalogue.texts}
    assert not reachable & set(services.texts)
    manifest = json.dumps(public.manifest)
    assert not any(text in manifest for text in services.texts if len(text.split()) > 3)


def test_films_are_cut_in_time(films: SequenceWorld) -> None:
    """Every learning rating is earlier than every evaluation rating, and popularity counts the first only."""
    table = pq.read_table(data_folder() / "movietweetings" / "interactions.parquet").to_pydict()
    learning = np.array(table["split"]) == "learning"
    time = np.array(table["time"])
    assert time[learning].max() < time[~learning].min()
    count = np.bincount(np.array(table["item"])[learning], minlength=films.public.catalogue.items) + 0.5
    assert np.allclose(films.public.catalogue.popularity, count / count.sum(), rtol=1e-12)


def test_each_data_set_has_its_licence_beside_it() -> None:
    """The shipped folders carry the licence text of every data set that is in them."""
    for name, sets in (
        ("services", ("clinc150", "hwu64", "banking77")),
        ("movietweetings", ("movietweetings",)),
    ):
        for data_set in sets:
            assert (data_folder() / name / f"LICENSE-{data_set}.txt").stat().st_size > 500
        assert (data_folder() / name / "SOURCES.md").is_file()


def test_unknown_worlds_and_stray_files_are_named() -> None:
    """A wrong world name, or files for a world that takes none, is one clear line."""
    for load in (load_world, load_public):
        with pytest.raises(FedbertError, match=r"^world\(='films'\) must be one of " + ", ".join(WORLDS)):
            load("films")
        with pytest.raises(FedbertError, match="belong to world 'interactions', not 'services'"):
            load("services", Path("items.csv"))


def test_normalising_drops_case_punctuation_and_space() -> None:
    """Texts that differ in case, punctuation or white space only are the same text."""
    assert normalise("  What's  my\tBALANCE?! ") == normalise("whats my balance") == "whats my balance"
    assert normalise("?!") == ""


@pytest.mark.parametrize("item_bits", [22, 1])
def test_neighbours_by_name_agree_with_brute_force(monkeypatch: pytest.MonkeyPatch, item_bits: int) -> None:
    """Nearest names in blocks are those of one dense product; ties go to the earlier item.

    So it is where the items' numbers fit beside the cosines, and where there are too many of them.
    """
    from fedbert.recommendation import names

    texts = [
        f"{area}: {act}" for area in ("Alarm", "Music", "Car") for act in ("set it", "stop it", "check it")
    ]
    vectors = names.name_vectors(texts).toarray()
    cosine = np.rint(vectors @ vectors.T * 2.0**40)
    expected = [
        sorted(
            (other for other in range(9) if other != item), key=lambda other: (-cosine[item, other], other)
        )[:4]
        for item in range(9)
    ]
    monkeypatch.setattr(names, "_ROWS_PER_BLOCK", 2)
    monkeypatch.setattr(names, "_ITEM_BITS", item_bits)
    assert names.nearest_by_name(texts, 4).tolist() == expected


def test_the_shipped_neighbours_are_those_of_the_names(services: ServicesWorld) -> None:
    """The neighbours in items.parquet are what `nearest_by_name` gives for the shipped names."""
    goods = services.public.catalogue
    from fedbert.recommendation.names import nearest_by_name

    assert np.array_equal(nearest_by_name(goods.texts), goods.neighbours)


def test_the_default_order_breaks_ties_by_item() -> None:
    """Items of equal popularity keep the order of their ids."""
    goods = catalogue.make_catalogue(
        ["a", "b", "c"], np.array([0.25, 0.5, 0.25]), np.zeros((3, 20), np.int32)
    )
    assert goods.default_rank.tolist() == [1, 0, 2]
