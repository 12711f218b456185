"""From noisy sums to training targets: the posterior mean of each item's users' texts.

Model. An item's texts scatter with covariance W about a mean mu. Before any signal, mu is a linear function
of the item's name vector plus a residual, normal with variance lambda in each of the eigen-directions of the
residuals that public items show; items with alike names have alike residuals. The sum of n clicks of an item
is n mu + noise of variance n W + sigma^2. Its posterior mean is then a Gaussian process regression per
direction (Rasmussen and Williams 2006, chapter 2); for a single item it is the James-Stein / Wiener shrinkage
of Efron and Morris 1973. With no noise it tends to the plain prototype mean, with nothing but noise to the
prior. Centred reports add up to n (mu - c) for a known c; a wrong n can then spoil mu - c alone.

One approximation makes a single eigen-decomposition serve all directions: W enters by its mean variance.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedbert.errors import FedbertError
from fedbert.signals.prototypes.evidence import Evidence
from fedbert.signals.signal import Targets

COMMON, LINEAR, SQUARED = 0.05, 0.2, 0.5
"""Shares of the residuals' covariance between two items: constant, and by the first and second power of the
cosine of their names. The rest is each item's own. Chosen on learning texts; see docs/privacy.md."""

BOLDNESS = 3.0
"""Factor on the residuals' variance: rankings gain from less shrinkage than the mean square error does."""

FLATNESS = 0.6
"""How far the variances of the directions are drawn to their mean: 75 public items know them only roughly."""

PUBLIC_WEIGHT = 0.1
"""What a public text counts, beside a click's: they need not be written as users write."""

LARGEST_JOINT_CATALOGUE = 1024
"""Items up to which alike names share what they learn; beyond, each item learns for itself."""

_FEWEST_LABELLED = 8
"""Items with public texts below which nothing is fitted: fewer say too little of a covariance."""

_USUAL_RESIDUAL, _USUAL_SCATTER = 0.2, 0.4
"""Squared lengths, of unit text vectors, where no public text has an item: those of the shipped services."""

_WITHIN_SHARE = 0.3
"""Weight of the texts' scatter in the choice of directions: it settles those in which public items do not
differ. The variances along them are the residuals' alone, so it need not be exact."""

_LEAST_COUNT_SHARE = 0.1
"""Least clicks of an item, as a share of the mean: an item without evidence still has users."""

_LEAST_SPREAD = 0.2
"""Least spread of the clicks over items, relative to their mean: no catalogue's items are all as popular."""

# Far below any variance of unit vectors: it only keeps divisions finite.
_TINY = 1e-12


@dataclass(frozen=True)
class PublicKnowledge:
    """What the server knows without any signal, in one release's space.

    `names` `[item, dim]`: unit vectors of the items' names, as the student gave them that no signal has
    taught (turned into this space, see `evidence.rotation`; else a signal would count twice). `texts` `[text,
    dim]`: unit vectors of public texts, `text_items` `[text]` their items, -1 for none.
    """

    names: NDArray[np.float64]
    texts: NDArray[np.float64]
    text_items: NDArray[np.int64]


@dataclass(frozen=True)
class Prior:
    """The items' means before any signal, and how texts scatter.

    `means` `[item, dim]`; `directions` `[dim, dim]` orthonormal columns; `variances` `[dim]` of the residuals
    along them; `relation` `[item, item]` between items, diagonal about 1, or None for items on their own;
    `scatter` mean variance of a text about its item's mean, per coordinate; `public_means` `[item, dim]` and
    `public_counts` `[item]` of the public texts with an item.
    """

    means: NDArray[np.float64]
    directions: NDArray[np.float64]
    variances: NDArray[np.float64]
    relation: NDArray[np.float64] | None
    scatter: float
    public_means: NDArray[np.float64]
    public_counts: NDArray[np.int64]


def fit_prior(public: PublicKnowledge) -> Prior:
    """Return the prior that public texts and names support; raises FedbertError if shapes do not match."""
    names = public.names.astype(np.float64)
    items, dim = names.shape
    if public.texts.shape != (len(public.text_items), dim):
        raise FedbertError(
            f"public texts {public.texts.shape} must have one row an entry of text_items "
            f"({len(public.text_items)}) and the width of names ({dim})"
        )
    labelled = public.text_items >= 0
    texts, owner = public.texts[labelled].astype(np.float64), public.text_items[labelled]
    counts = np.bincount(owner, minlength=items)
    public_means = np.zeros((items, dim))
    np.add.at(public_means, owner, texts)
    public_means /= np.maximum(counts, 1)[:, None]
    known = counts > 0
    # Own data such as `interactions` have no labelled public text: names are then all there is to go by.
    if known.sum() < _FEWEST_LABELLED:
        return Prior(
            means=names,
            directions=np.eye(dim),
            variances=np.full(dim, BOLDNESS * _USUAL_RESIDUAL / dim),
            relation=_relation(names - names.mean(0)),
            scatter=_USUAL_SCATTER / dim,
            public_means=public_means,
            public_counts=counts,
        )
    # One slope for all directions: a full matrix of dim x dim would be fitted to 75 items.
    centred, middle = names - names.mean(0), public_means[known].mean(0)
    own = names[known] - names[known].mean(0)
    slope = float(((public_means[known] - middle) * own).sum() / max(float((own * own).sum()), _TINY))
    means = slope * centred + middle
    residual = public_means[known] - means[known]
    # The slope went through the centre of all names; the known items' own centre may lie elsewhere.
    residual -= residual.mean(0)
    covariance = residual.T @ residual / known.sum()
    offsets = texts - public_means[owner]
    within = offsets.T @ offsets / len(texts)
    directions = np.linalg.eigh(covariance + _WITHIN_SHARE * within)[1]
    variances = np.einsum("de,df,fe->e", directions, covariance, directions)
    variances = BOLDNESS * ((1 - FLATNESS) * variances + FLATNESS * variances.mean())
    return Prior(
        means=means,
        directions=directions,
        variances=np.maximum(variances, _TINY),
        relation=_relation(centred),
        scatter=max(float(np.trace(within)) / dim, _TINY),
        public_means=public_means,
        public_counts=counts,
    )


def _relation(centred: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Covariance between the items' residuals, by the cosine of their centred names; positive definite."""
    items = len(centred)
    # The posterior factorises a matrix of items x items: under a second at this size, minutes at 10,000.
    if items > LARGEST_JOINT_CATALOGUE:
        return None
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _TINY)
    cosine = unit @ unit.T
    # A constant, a cosine and its square are covariances, and so is their sum with shares >= 0 (Rasmussen and
    # Williams 2006, section 4.2.4); the share on the diagonal makes it definite.
    own = (1 - LINEAR - SQUARED) * np.eye(items)
    return np.asarray(COMMON + LINEAR * cosine + SQUARED * cosine**2 + own, np.float64)


def estimate_counts(evidence: Evidence, prior: Prior, centred: bool = False) -> NDArray[np.float64]:
    """Return each item's clicks `[item]`, >= 0, in the unit of the sums.

    Two noisy views are averaged by precision, the counts and the sums' length along the prior mean, and drawn
    to their common mean, and that mean to zero, as far as the noise asks. Without noise these are the counts.
    Sums that were centred have no length that tells: there the counts are all.
    """
    length = np.maximum((prior.means**2).sum(1), _TINY)
    along = (evidence.sums * prior.means).sum(1) / length
    # Exact counts need no shrinkage; the pooled-data bound comes this way.
    if evidence.sum_variance == 0 and evidence.crowding == 1:
        return np.maximum(evidence.counts if np.isfinite(evidence.count_variance) else along, 0.0)
    # In a sketch the other items of a row, with random signs, act as noise of their own size.
    crowd = float(np.mean(evidence.counts**2)) * (1 - 1 / evidence.crowding)
    precision, mixed = np.zeros(len(length)), np.zeros(len(length))
    if not centred:
        usual = max(float(along.mean()), 0.0)
        # The length along the prior mean is off by the noise, and by how far true means lie from the prior's.
        precision = 1 / ((evidence.sum_variance + usual**2 * prior.variances.mean()) / length + crowd)
        mixed = along * precision
    if np.isfinite(evidence.count_variance):
        count_precision = 1 / max(evidence.count_variance + crowd, _TINY)
        mixed = mixed + evidence.counts * count_precision
        precision = precision + count_precision
    variance = 1 / np.maximum(precision, _TINY)
    estimate = mixed * variance
    middle = max(float(estimate.mean()), 0.0)
    middle *= max(0.0, 1 - float(variance.mean()) / (len(estimate) * max(middle**2, _TINY)))
    # One standard error of a mean of squares above its expectation: spread that noise alone may show.
    by_chance = (1 + math.sqrt(2 / len(estimate))) * variance
    spread = max(float(np.mean((estimate - middle) ** 2 - by_chance)), (_LEAST_SPREAD * middle) ** 2)
    shrunk = middle + (estimate - middle) * spread / np.maximum(spread + variance, _TINY)
    return np.asarray(np.maximum(shrunk, _LEAST_COUNT_SHARE * middle))


def learn(evidence: Evidence, public: PublicKnowledge, centres: NDArray[np.float64] | None = None) -> Targets:
    """Return the targets that all evidence so far supports, in the space of `public` and `evidence` alike.

    `centres` `[item, dim]` is what a click took off its text vector on average, None for nothing. Items that
    neither signals nor public texts say anything of get their prior mean and weight 0.
    """
    prior = fit_prior(public)
    if evidence.sums.shape != prior.means.shape:
        raise FedbertError(
            f"evidence has shape {evidence.sums.shape}, the names {prior.means.shape}; use one catalogue"
        )
    counts = estimate_counts(evidence, prior, centred=centres is not None)
    expected = prior.means if centres is None else prior.means - centres
    # The sum of n clicks has variance n * scatter + noise about n times the mean: its precision for the mean.
    noise = evidence.sum_variance + _crowd_variance(evidence)
    per_count = counts / np.maximum(counts * prior.scatter + noise, _TINY)
    public_precision = PUBLIC_WEIGHT * prior.public_counts / prior.scatter
    precision = counts * per_count + public_precision
    surprise = per_count[:, None] * (evidence.sums - counts[:, None] * expected)
    surprise += public_precision[:, None] * (prior.public_means - prior.means)
    # Along the eigen-directions the residuals are independent, so that each is solved by itself.
    residual, certainty = _posterior(surprise @ prior.directions, precision, prior)
    mean = prior.means + residual @ prior.directions.T
    unit = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), _TINY)
    return Targets(unit.astype(np.float32), np.clip(certainty, 0.0, 1.0).astype(np.float32))


def _crowd_variance(evidence: Evidence) -> float:
    """Variance that an item's sum has from the items in its row of a sketch, per coordinate."""
    if evidence.crowding == 1:
        return 0.0
    power = max(0.0, float(np.mean(evidence.sums**2)) - evidence.sum_variance)
    return power * (1 - 1 / evidence.crowding)


def _posterior(
    surprise: NDArray[np.float64], precision: NDArray[np.float64], prior: Prior
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the residuals' posterior means `[item, direction]`, and the share of variance removed `[item]`.

    `surprise` `[item, direction]` is precision times the observed residual. With A = variance * relation and
    S the root of the precisions, the mean is A S (I + S A S)^-1 S^-1 surprise.
    """
    variances = prior.variances
    if prior.relation is None:
        gain = variances / (1 + precision[:, None] * variances)
        removed = (variances * precision[:, None] * gain).sum(1)
        return surprise * gain, removed / variances.sum()
    # The root on both sides keeps the matrix symmetric and an item without evidence (precision 0) harmless.
    root = np.sqrt(precision)
    scaled = np.divide(surprise, root[:, None], out=np.zeros_like(surprise), where=root[:, None] > 0)
    spectrum, basis = np.linalg.eigh(root[:, None] * prior.relation * root)
    # Rounding may leave an eigenvalue a little below zero.
    spectrum = np.maximum(spectrum, 0.0)
    spread = (prior.relation * root) @ basis
    gains = variances / (1 + spectrum[:, None] * variances)
    mean = spread @ (gains * (basis.T @ scaled))
    removed = (spread**2) @ (gains * variances).sum(1)
    return mean, removed / (np.diag(prior.relation) * variances.sum())
