"""The machine at hand as a device: timed on single operators, written down as a profile like any other.

`small_graphs` are what is timed for the constants, `whole_models` what the constants are checked on. Both are
timed in turns, so that a busy minute meets both alike; the whole models' times enter no constant.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from fedbert.devices.fused_graph import FusedGraph
from fedbert.devices.host import graphs
from fedbert.devices.host.fit import CoreConstants, Floats, fit_one_thread, fit_threads, table
from fedbert.devices.host.timing import Job
from fedbert.paths import models_folder

THREADS = (1, 2)
LENGTHS = (8, 16, 32, 64, 128)
_ROWS = (8, 32, 128)
_PRODUCTS = ((80, 320), (128, 128), (128, 512), (256, 1024), (384, 384))
_HEADS = ((80, 5), (128, 4), (256, 8))
_FLOAT_HEADS = ((128, 4), (256, 8))
_ELEMENTWISE = ("LayerNormalization", "Sum", "Mul", "Quantize", "BiasGelu", "Softmax")
_STREAMED = ((256, 16), (512, 4), (512, 8))
"""Side and number of the float matrices of 4 to 8 MiB in all: as many bytes as a model's, more than a core's
own caches hold. Each is used for 8 rows, a short text, where memory may bind."""

SIZES = {
    "BERT 4 x 256, int8": graphs.BertSize(layers=4, width=256, heads=8, inner=1024, int8=True),
    "BERT 3 x 192, float": graphs.BertSize(layers=3, width=192, heads=6, inner=768, int8=False),
}
"""Sizes that no shipped model has."""

SHIPPED = ("default", "small", "tiny")


@dataclass(frozen=True)
class SmallGraph:
    """A chain of operators, the shape of its float input `x`, and whether its weights outgrow the caches."""

    onnx_bytes: bytes
    shape: tuple[int, ...]
    streams: bool = False


def small_graphs() -> dict[str, SmallGraph]:
    """Return the small graphs by name."""
    made: dict[str, SmallGraph] = {}
    for rows in _ROWS:
        for inner, outer in _PRODUCTS:
            for kind, int8 in (("int8", True), ("float", False)):
                name = f"{kind} product {rows} x {inner} x {outer}"
                made[name] = SmallGraph(graphs.products(rows, inner, outer, int8), (1, rows, inner))
        for pairs, kind, int8 in ((_HEADS, "int8", True), (_FLOAT_HEADS, "float", False)):
            for width, heads in pairs:
                name = f"{kind} attention {rows} x {width}, {heads} heads"
                made[name] = SmallGraph(graphs.attentions(rows, width, heads, int8), (1, rows, width))
        for operator in _ELEMENTWISE:
            made[f"{operator} {rows} x 128"] = SmallGraph(
                graphs.elementwise(operator, rows, 128), (1, rows, 128)
            )
        made[f"LayerNormalization {rows} x 512"] = SmallGraph(
            graphs.elementwise("LayerNormalization", rows, 512), (1, rows, 512)
        )
    for links in (2, 32):
        made[f"{links} operators on one element"] = SmallGraph(
            graphs.elementwise("Sum", 1, 1, links), (1, 1, 1)
        )
    for side, links in _STREAMED:
        made[f"weights of {links} x {side} x {side}, 8 rows"] = SmallGraph(
            graphs.products(8, side, side, int8=False, links=links), (1, 8, side), streams=True
        )
    return made


def whole_models() -> dict[str, bytes]:
    """Return the models of the check by name: three shipped ones, then sizes that none of them has."""
    folder = models_folder()
    shipped = {name: (folder / name / "model.onnx").read_bytes() for name in SHIPPED}
    longest = max(LENGTHS)
    made = {name: graphs.with_positions(content, longest) for name, content in shipped.items()}
    return made | {name: graphs.bert(size, longest) for name, size in SIZES.items()}


def small_jobs(made: dict[str, SmallGraph]) -> dict[str, Job]:
    """Return what to time of the small graphs, each on one and two threads, in the order of `THREADS`."""
    random = np.random.default_rng(1)
    feeds = {name: random.standard_normal(graph.shape).astype(np.float32) for name, graph in made.items()}
    return {
        f"{name}, {threads}": Job(graph.onnx_bytes, {"x": feeds[name]}, threads)
        for threads in THREADS
        for name, graph in made.items()
    }


def whole_jobs(models: dict[str, bytes]) -> dict[str, Job]:
    """Return what to time of the whole models: each on one and two threads at each of `LENGTHS`."""
    random = np.random.default_rng(2)
    ids = {length: random.integers(5, 2_000, (1, length)).astype(np.int32) for length in LENGTHS}
    return {
        f"{name}, {length}, {threads}": Job(content, {"ids": ids[length]}, threads)
        for threads in THREADS
        for name, content in models.items()
        for length in LENGTHS
    }


def counts_of(made: dict[str, SmallGraph]) -> Floats:
    """Return the counts [graph, 6] of the small graphs, as `host_fit.table` has them.

    Bytes are left out but where weights are streamed: all other tensors stay in the core's caches.
    """
    loaded = [onnx.load_model_from_string(graph.onnx_bytes) for graph in made.values()]
    counts = table([FusedGraph(model, 1).count() for model in loaded])
    counts[[not graph.streams for graph in made.values()], -1] = 0
    return counts


def fit_core(made: dict[str, SmallGraph], times_us: Floats) -> CoreConstants:
    """Return the constants that the times [thread, graph] of the small graphs give."""
    counts = counts_of(made)
    return fit_threads(fit_one_thread(counts, times_us[0]), counts, times_us[1], THREADS[1])
