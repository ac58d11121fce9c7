"""From the logits of a U-Net to the probability of a particle, for arrays of NumPy and CuPy."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from hrtem_dask import backend
from hrtem_dask.segmentation.networks.config import UNetConfig

__all__ = ["CONTACT_SHARPNESS", "output_log_odds", "sigmoid"]

CONTACT_SHARPNESS = 2.0
"""Factor on the log-odds of a contact, see `output_log_odds`."""
LARGEST = 80.0
"""Log-odds beyond which the exponential function nears the largest float32; the probability is 0 or 1 there."""


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """Return the probability that belongs to log-odds.

    Parameters
    ----------
    log_odds : numpy.ndarray or cupy.ndarray
        Any shape, float32.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        1 / (1 + exp(−l)), same shape, float32.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.networks.output import sigmoid
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0], dtype=np.float32)).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    xp = backend.array_namespace(log_odds)
    values: np.ndarray = xp.clip(log_odds, -LARGEST, LARGEST)
    for step in (xp.negative, xp.exp):
        step(values, out=values)  # in place: a large image makes new memory cost more than the arithmetic
    values += 1
    return np.asarray(xp.divide(1, values, out=values)) if xp is np else xp.divide(1, values, out=values)


def output_log_odds(logits: np.ndarray, *, config: UNetConfig) -> np.ndarray:
    """Return the log-odds of the particle class, lowered towards 0 where the network sees two particles touch.

    A line of lower probability runs between touching particles, which the splitting of particles follows. Log-odds do
    not change their sign, so that the mask at a probability of 0.5 is that of the particle class.

    Parameters
    ----------
    logits : numpy.ndarray
        Shape (n, n_outputs, y, x), before softmax; a single class is the particle's logit.
    config : UNetConfig
        Configuration of the network.

    Returns
    -------
    numpy.ndarray
        Shape (n, y, x), float32: l − max(l, 0) σ(2 k), with the log-odds l = ln(p / (1 − p)) of the softmax probability
        p of the particle class, the log-odds k of a contact and the logistic function σ. The factor 2 makes the line
        distinct from the interior of a faint particle.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.networks.output import output_log_odds
    >>> config = UNetConfig(widths=(4,), centre_width=4, n_classes=1, particle_class=0, contact_output=True)
    >>> output_log_odds(np.array([[[[4.0, -4.0]], [[0.0, 0.0]]]], dtype=np.float32), config=config).tolist()
    [[[2.0, -4.0]]]
    """
    log_odds = logits[:, config.particle_class]
    others = [c for c in range(config.n_classes) if c != config.particle_class]
    if others:
        log_odds = log_odds - logsumexp(logits[:, others], axis=1)
    if config.contact_output:
        lowered = sigmoid(CONTACT_SHARPNESS * logits[:, config.n_classes])
        lowered *= np.maximum(log_odds, 0)
        log_odds = np.subtract(log_odds, lowered, out=lowered)
    return np.ascontiguousarray(log_odds, dtype=np.float32)
