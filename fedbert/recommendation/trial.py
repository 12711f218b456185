"""A trial of a world from a user's own file: what breaks a rule is refused in one line before a run."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.plugins import Named
from fedbert.recommendation.catalogue import PublicData
from fedbert.recommendation.clusters import places_of, users_on
from fedbert.recommendation.sessions import Block, Kind, Requests, Sessions, WorldSettings
from fedbert.recommendation.world import World
from fedbert.results import CANDIDATES, TIERS

_DEVICES = 24


def checked(world: World, named: Named) -> World:
    """Return `world`, which was `named`, if a trial of a few devices goes well.

    Raises FedbertError with one line for the first rule it breaks.
    """
    public, texts = world.public, world.texts
    if not isinstance(public, PublicData):
        raise named.refused(f"have PublicData as public, not {type(public).__name__}")
    if not texts or not all(isinstance(text, str) for text in texts):
        raise named.refused("have a tuple of one text or more as texts")
    named.array("evaluation_text", world.evaluation_text, np.bool_, (len(texts),))
    if not world.evaluation_text.any():
        raise named.refused("mark a text in evaluation_text: without one nothing is evaluated")
    if public.catalogue.items < CANDIDATES:
        raise named.refused(f"have at least {CANDIDATES} items, of which a session shows as many")
    named.array("public.item", public.item, np.int32, (len(public.texts),))
    if len(public.split) != len(public.texts):
        raise named.refused("have a split for each public text")
    history = world.history(_block(0, _DEVICES))
    if not isinstance(history, Requests):
        raise named.refused(f"give Requests as history, not {type(history).__name__}")
    shape = (_DEVICES, WorldSettings().history_length)
    for name, limit in (("text", len(texts)), ("item", public.catalogue.items)):
        _below(named, f"history's {name}", getattr(history, name), shape, -1, limit)
    places = places_of(world)
    if places.users:
        user = users_on(world, places, _block(0, _DEVICES))
        _below(named, "user_of", user, (_DEVICES,), 0, places.users, np.int64)
    for kind in Kind:
        for round_ in (0, 1):
            _check_sessions(world, named, round_, kind)
    return world


def _block(first: int, count: int) -> Block:
    tier = (np.arange(first, first + count) % len(TIERS)).astype(np.int8)
    return Block(DeviceRange(0, first, count), tier, WorldSettings(), _DEVICES, _tiers)


def _tiers(devices: DeviceRange) -> NDArray[np.int8]:
    return (np.arange(devices.first, devices.end) % len(TIERS)).astype(np.int8)


def _check_sessions(world: World, named: Named, round_: int, kind: Kind) -> None:
    whole = world.sessions(_block(0, _DEVICES), round_, kind)
    if not isinstance(whole, Sessions):
        raise named.refused(f"give Sessions as sessions, not {type(whole).__name__}")
    count, items = len(whole), world.public.catalogue.items
    _below(named, "sessions' device", whole.device, (count,), 0, _DEVICES)
    named.array("sessions' slot", whole.slot, np.int8, (count,))
    if (np.diff(whole.device) < 0).any():
        raise named.refused("give sessions in the order of their devices")
    _below(named, "sessions' text", whole.text, (count,), 0, len(world.texts))
    _below(named, "sessions' item", whole.item, (count,), 0, items)
    _below(named, "sessions' candidates", whole.candidates, (count, CANDIDATES), 0, items)
    if not (whole.candidates == whole.item[:, None]).any(axis=1).all():
        raise named.refused("show the target item among the candidates of each session")
    if (np.diff(np.sort(whole.candidates, axis=1), axis=1) == 0).any():
        raise named.refused("show an item once among the candidates of a session")
    if kind is Kind.EVALUATION and not world.evaluation_text[whole.text].all():
        raise named.refused("mark in evaluation_text each text that evaluation sessions use")
    half = _DEVICES // 2
    parts = [world.sessions(_block(first, half), round_, kind) for first in (0, half)]
    for name in ("slot", "hour", "text", "item", "candidates"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        if not np.array_equal(joined, getattr(whole, name)):
            raise named.refused(f"give the same sessions however the fleet is cut; {name} differs")


def _below(
    named: Named,
    what: str,
    value: Any,
    shape: tuple[int, ...],
    least: int,
    limit: int,
    dtype: type[np.generic] = np.int32,
) -> None:
    array = named.array(what, value, dtype, shape)
    if array.size and (array.min() < least or array.max() >= limit):
        raise named.refused(f"keep {what} from {least} to {limit - 1}, not {array.min()} to {array.max()}")
