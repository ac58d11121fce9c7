"""Second stage: look at each proposal with its own direction, name its class and correct its box."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hrtem_dask.detection.networks.backbones import STRIDES_PX
from hrtem_dask.detection.networks.box_coder import canonical_boxes, decode
from hrtem_dask.detection.networks.box_loss import rotated_box_loss
from hrtem_dask.detection.networks.rotated_roi_align import rotated_roi_align
from hrtem_dask.detection.rotated_iou import rotated_iou

__all__ = ["Refinement", "SampledProposals", "at_least_a_pixel", "jittered", "sample_proposals"]

_CELLS = (5, 9)
_MARGIN = (1.5, 1.25)
"""By how much the box that is looked at is wider and longer than the proposal, to see its edges from both sides."""
_POSITIVE_IOU = 0.5
_NO_FIT_IOU, _GOOD_FIT_IOU = 0.2, 0.8
"""Overlaps of a corrected box with its true one at which its score should be 0 and 1."""
_COPIES = 3
"""Of each true box, with errors, among the proposals to train on."""
_CODE_SCALE = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.2])
"""What an output of 1 means for each of the five numbers: typical errors of proposals."""

SampledProposals = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Proposals (n, 5), their classes (n,) with 0 for background, and the number of their true box (n,)."""


def sample_proposals(
    proposals: torch.Tensor,
    boxes: torch.Tensor,
    classes: torch.Tensor,
    ignored: torch.Tensor,
    *,
    most: int = 128,
    positive_share: float = 0.4,
) -> SampledProposals:
    """Choose proposals to train on, and add true boxes with errors to them.

    Parameters
    ----------
    proposals : torch.Tensor
        Shape (k, 5), of one image.
    boxes : torch.Tensor
        Shape (n, 5): true boxes.
    classes : torch.Tensor
        Shape (n,), int64: their classes, from 1.
    ignored : torch.Tensor
        Shape (n,), bool: proposals on them are neither right nor wrong.
    most : int
        Largest number chosen.
    positive_share : float
        Largest share of those whose intersection over union with a true box is at least 0.5.

    Returns
    -------
    SampledProposals
        Chosen proposals.
    """
    whole = boxes[~ignored]
    proposals = torch.cat([proposals, *(jittered(whole) for _ in range(_COPIES))])
    n = len(proposals)
    if not len(boxes):
        chosen = torch.randperm(n, device=proposals.device)[:most]
        nothing = torch.zeros(len(chosen), dtype=torch.int64, device=proposals.device)
        return proposals[chosen], nothing, nothing
    iou = torch.from_numpy(rotated_iou(_numpy(proposals), _numpy(boxes))).to(proposals.device)
    best, match = iou.max(dim=1)
    is_ignored = (iou[:, ignored] >= _POSITIVE_IOU).any(dim=1)
    label = torch.where(best >= _POSITIVE_IOU, classes[match], 0)
    order = torch.randperm(n, device=proposals.device)
    positive = order[(label > 0)[order] & ~ignored[match][order]][: int(most * positive_share)]
    negative = order[(label == 0)[order] & ~is_ignored[order]][: most - len(positive)]
    chosen = torch.cat([positive, negative])
    return proposals[chosen], label[chosen], match[chosen]


def jittered(boxes: torch.Tensor) -> torch.Tensor:
    """Return boxes with errors as those of proposals.

    Early in training the first stage finds nothing to learn from, and true boxes themselves need no correction.

    Parameters
    ----------
    boxes : torch.Tensor
        Shape (n, 5).

    Returns
    -------
    torch.Tensor
        Shape (n, 5).
    """
    aspect = boxes[:, 2:3] / boxes[:, 3:4]
    code = torch.randn_like(boxes) * _CODE_SCALE.to(boxes.device)
    code[:, 4:] /= aspect.clamp(min=1)  # by the same angle a slender box loses more of its overlap
    return at_least_a_pixel(decode(boxes, code))


class Refinement(nn.Module):
    """Second stage of the rotated Faster R-CNN.

    Parameters
    ----------
    channels : int
        Channels of the pyramid's levels.
    n_classes : int
        Number of classes, without background.
    hidden : int
        Width of the two hidden layers.
    """

    def __init__(self, channels: int, n_classes: int, hidden: int = 192) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * _CELLS[0] * _CELLS[1], hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.score = nn.Linear(hidden, n_classes + 1)
        self.code = nn.Linear(hidden, 5)
        nn.init.normal_(self.code.weight, std=0.01)
        nn.init.zeros_(self.code.bias)

    def forward(
        self, levels: dict[str, torch.Tensor], proposals: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge and correct proposals.

        Parameters
        ----------
        levels : dict of str to torch.Tensor
            From `GrayPyramid`, of n images.
        proposals : list of torch.Tensor
            Boxes of each image, shape (k, 5).

        Returns
        -------
        scores : torch.Tensor
            Logits of background and classes, of all images' proposals one after the other.
        boxes : torch.Tensor
            Corrected boxes, not canonical.
        """
        together = torch.cat(proposals)
        hidden = self._hidden(levels, proposals)
        code = self.code(hidden).float() * _CODE_SCALE.to(together.device)
        return self.score(hidden).float(), decode(together, code)

    def _hidden(self, levels: dict[str, torch.Tensor], proposals: list[torch.Tensor]) -> torch.Tensor:
        """Return what the hidden layers say of the features of each proposal, from the level that fits its size."""
        parts, numbers, first = [], [], 0
        for image, boxes in enumerate(proposals):
            size = torch.sqrt(boxes[:, 2] * boxes[:, 3])
            level = torch.bucketize(size, torch.tensor([20.0, 40.0, 80.0], device=size.device))
            wider = boxes * boxes.new_tensor([1, 1, _MARGIN[1], _MARGIN[0], 1])
            for i, stride in enumerate(STRIDES_PX):
                mine = torch.nonzero(level == i)[:, 0]
                if len(mine):
                    sampled = rotated_roi_align(
                        levels[str(stride)][image].float(), wider[mine], stride_px=stride, cells=_CELLS
                    )
                    parts.append(sampled.to(levels["4"].dtype).permute(0, 2, 3, 1).flatten(1))
                    numbers.append(mine + first)
            first += len(boxes)
        linear, others = self.layers[0], self.layers[1:]
        assert isinstance(linear, nn.Linear)
        # channels last, as they are sampled: to turn the weights costs less than to turn the features
        weight = linear.weight.reshape(linear.out_features, -1, *_CELLS).permute(0, 2, 3, 1).flatten(1)
        if not parts:
            return levels["4"].new_zeros((0, self.score.in_features))
        hidden: torch.Tensor = others(functional.linear(torch.cat(parts), weight, linear.bias))
        return hidden[torch.argsort(torch.cat(numbers))]

    @staticmethod
    def losses(
        scores: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor, true: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the losses of classes and boxes.

        A score learns how well the corrected box fits, so that of two boxes on one rod the better one is kept and
        better boxes come first (after X. Li et al., Generalized focal loss, NeurIPS 2020): its target is 0 for an
        overlap of 0.2 with the true box, and 1 from 0.8 on.

        Parameters
        ----------
        scores, boxes : torch.Tensor
            From `forward`.
        labels : torch.Tensor
            Shape (n,), int64: true classes, 0 for background.
        true : torch.Tensor
            Shape (n, 5): true boxes; those of the background do not matter.

        Returns
        -------
        dict of str to torch.Tensor
            ``class`` and ``box``.
        """
        positive = labels > 0
        box = rotated_box_loss(boxes[positive], true[positive]).sum() / max(len(labels) * 0.25, 1)
        target = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
        target[positive] *= _quality(boxes[positive], true[positive])[:, None].to(scores)
        target[:, 0] = 1 - target[:, 1:].sum(dim=1)
        return {"class": functional.cross_entropy(scores, target), "box": box}


def _quality(boxes: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return what the score of each corrected box should be, 0 to 1, by its overlap with its true box."""
    found = _numpy(at_least_a_pixel(boxes.detach()))
    overlap = np.array([rotated_iou(*pair)[0, 0] for pair in zip(found, _numpy(true), strict=True)])
    return torch.from_numpy(np.clip((overlap - _NO_FIT_IOU) / (_GOOD_FIT_IOU - _NO_FIT_IOU), 0, 1))


def at_least_a_pixel(boxes: torch.Tensor) -> torch.Tensor:
    """Return corrected boxes with length ≥ width ≥ 1 px.

    Parameters
    ----------
    boxes : torch.Tensor
        Shape (n, 5).

    Returns
    -------
    torch.Tensor
        Shape (n, 5), canonical.
    """
    boxes = canonical_boxes(boxes)
    return torch.cat([boxes[:, :2], boxes[:, 2:4].clamp(min=1.0), boxes[:, 4:]], dim=1)


def _numpy(values: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64 on the host."""
    return np.asarray(values.detach().double().cpu())
