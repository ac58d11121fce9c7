"""First stage: proposals of rotated boxes, without anchors of many sizes but with six directions at each position.

At each position of each level a box of one size is turned to six angles, 30° apart. Whether one is positive is decided
by its position and angle, not by its overlap with a true box, which for rods would leave most of them without any
(Z. Tian et al., ICCV 2019, for axis-aligned boxes); scores are trained by the focal loss (T.-Y. Lin et al., ICCV 2017).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from hrtem_dask.detection.networks.backbones import STRIDES_PX, group_norm
from hrtem_dask.detection.networks.box_coder import SQUARE_ASPECT, canonical_boxes, decode
from hrtem_dask.detection.networks.box_loss import rotated_box_loss
from hrtem_dask.detection.rotated_iou import rotated_nms

__all__ = ["LEAST_SCORE", "N_ANGLES", "RotatedProposals", "assign", "reference_boxes"]

N_ANGLES = 6
"""Directions of the reference boxes at each position."""
_SIZE_LIMITS_PX = (20.0, 40.0, 80.0, math.inf)
"""√(length × width) up to which a box belongs to the levels of `STRIDES_PX`."""
_POSITIVE_DEG, _NEITHER_DEG = 18.0, 27.0
"""Angles between a true box and a reference up to which it is positive, and up to which it is not negative."""
LEAST_SCORE = 0.01
"""Proposals with a lower score are left out."""
_CENTRAL = 0.25
"""Part of a box, from its middle, in which positions are positive."""


def reference_boxes(height: int, width: int, stride_px: int, device: torch.device | None = None) -> torch.Tensor:
    """Return the reference boxes of one level.

    Parameters
    ----------
    height, width : int
        Size of the level.
    stride_px : int
        Its stride (px).
    device : torch.device, optional
        Where the result is.

    Returns
    -------
    torch.Tensor
        Shape (6 × height × width, 5), in the order angle, y, x.
    """
    angles = (torch.arange(N_ANGLES, device=device) + 0.5) * (180 / N_ANGLES) - 90
    y = (torch.arange(height, device=device) + 0.5) * stride_px - 0.5
    x = (torch.arange(width, device=device) + 0.5) * stride_px - 0.5
    angle, y, x = torch.meshgrid(angles, y, x, indexing="ij")
    size, aspect = 3.5 * stride_px, 2.5
    length, breadth = torch.full_like(x, size * math.sqrt(aspect)), torch.full_like(x, size / math.sqrt(aspect))
    return torch.stack([x, y, length, breadth, angle], dim=-1).reshape(-1, 5)


def assign(references: torch.Tensor, boxes: torch.Tensor, ignored: torch.Tensor, stride_px: int) -> torch.Tensor:
    """Say which true box each reference of a level should find.

    Parameters
    ----------
    references : torch.Tensor
        Shape (6 × positions, 5), from `reference_boxes`.
    boxes : torch.Tensor
        Shape (n, 5): all true boxes of the image.
    ignored : torch.Tensor
        Shape (n,), bool: boxes that need not be found.
    stride_px : int
        Stride of the level (px).

    Returns
    -------
    torch.Tensor
        Shape (6 × positions,), int64: number of the box, −1 for none (negative), −2 for neither.
    """
    level = STRIDES_PX.index(stride_px)
    size = torch.sqrt(boxes[:, 2] * boxes[:, 3])
    lowest = _SIZE_LIMITS_PX[level - 1] if level else 0.0
    mine = torch.nonzero((size <= _SIZE_LIMITS_PX[level]) & (size > lowest))[:, 0]
    target = torch.full((len(references),), -1, dtype=torch.int64, device=references.device)
    if not len(mine):
        return target
    one = boxes[mine]
    per_angle = references.reshape(N_ANGLES, -1, 5)
    angle = torch.deg2rad(one[:, 4])
    dx, dy = (per_angle[0, :, None, i] - one[:, i] for i in (0, 1))
    u, v = (dx * angle.cos() - dy * angle.sin()).abs(), (dx * angle.sin() + dy * angle.cos()).abs()
    half = 0.75 * stride_px
    central = (u <= (_CENTRAL / 2 * one[:, 2]).clamp(min=half)) & (v <= (_CENTRAL / 2 * one[:, 3]).clamp(min=half))
    distance = (u / one[:, 2]) ** 2 + (v / one[:, 3]) ** 2
    period = torch.where(one[:, 2] < SQUARE_ASPECT * one[:, 3], 90.0, 180.0)
    turn = per_angle[:, 0, 4, None] - one[:, 4]
    turn = (torch.remainder(turn + period / 2, period) - period / 2).abs()
    for i in range(N_ANGLES):
        found = central & (turn[i] <= _POSITIVE_DEG) & ~ignored[mine]
        unclear = central & ((turn[i] <= _NEITHER_DEG) | ignored[mine])
        nearest = distance.masked_fill(~found, math.inf).argmin(dim=1)
        part = target[i * len(dx) : (i + 1) * len(dx)]
        part[unclear.any(dim=1)] = -2
        part[found.any(dim=1)] = mine[nearest][found.any(dim=1)]
    return target


class RotatedProposals(nn.Module):
    """First stage of the rotated Faster R-CNN.

    Parameters
    ----------
    channels : int
        Channels of the pyramid's levels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels),
            nn.ReLU(inplace=True),
        )
        self.score = nn.Conv2d(channels, N_ANGLES, 1)
        self.code = nn.Conv2d(channels, N_ANGLES * 5, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.code.weight, std=0.01)
        # at first a hundredth of the positions is taken for an object, else all the others would dominate the loss
        nn.init.constant_(self.score.bias, -math.log(99))  # type: ignore[arg-type]
        nn.init.zeros_(self.code.bias)  # type: ignore[arg-type]

    def forward(self, levels: dict[str, torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Score the references of all levels, and say where their boxes are.

        Parameters
        ----------
        levels : dict of str to torch.Tensor
            From `GrayPyramid`, of n images.

        Returns
        -------
        scores : list of torch.Tensor
            Logits of each level, shape (n, 6, y, x).
        codes : list of torch.Tensor
            Boxes of each level relative to `reference_boxes`, shape (n, 30, y, x): the five numbers of the first angle
            first, see `box_coder`.
        """
        seen = [self.tower(levels[str(stride)]) for stride in STRIDES_PX]
        return [self.score(one) for one in seen], [self.code(one) for one in seen]

    @staticmethod
    def losses(
        scores: list[torch.Tensor], codes: list[torch.Tensor], truth: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """Return the losses of the scores and boxes of some images.

        Parameters
        ----------
        scores, codes : list of torch.Tensor
            From `forward`.
        truth : list of tuple of torch.Tensor
            Of each image: boxes, shape (n, 5), and which of them are ignored, shape (n,), bool.

        Returns
        -------
        dict of str to torch.Tensor
            ``proposal_score`` and ``proposal_box``.
        """
        score_loss, box_loss, n_positive = scores[0].new_zeros(()), scores[0].new_zeros(()), 0
        for stride, level_scores, level_codes in zip(STRIDES_PX, scores, codes, strict=True):
            references = reference_boxes(level_scores.shape[2], level_scores.shape[3], stride, level_scores.device)
            for image, (true, ignored) in enumerate(truth):
                target = assign(references, true, ignored, stride)
                positive, counted = target >= 0, target > -2
                score_loss = score_loss + sigmoid_focal_loss(
                    level_scores[image].flatten().float()[counted], positive[counted].float(), alpha=0.25, gamma=2,
                    reduction="sum",
                )  # fmt: skip
                if positive.any():
                    boxes = decode(references[positive], _rows(level_codes[image])[positive])
                    box_loss = box_loss + rotated_box_loss(boxes, true[target[positive]]).sum()
                    n_positive += int(positive.sum())
        return {"proposal_score": score_loss / max(n_positive, 1), "proposal_box": box_loss / max(n_positive, 1)}

    @staticmethod
    @torch.no_grad()
    def propose(
        scores: list[torch.Tensor],
        codes: list[torch.Tensor],
        image: int,
        *,
        most: int,
        per_level: int = 1000,
        min_score: float = LEAST_SCORE,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best proposals of one image.

        Parameters
        ----------
        scores, codes : list of torch.Tensor
            From `forward`.
        image : int
            Number of the image.
        most : int
            Largest number of proposals.
        per_level : int
            Largest number from each level before duplicates are suppressed.
        min_score : float
            Least score, above 0.

        Returns
        -------
        boxes : torch.Tensor
            Shape (k, 5), canonical, by falling score.
        scores : torch.Tensor
            Shape (k,), 0 to 1.
        """
        best_scores, best_boxes = [], []
        for stride, level_scores, level_codes in zip(STRIDES_PX, scores, codes, strict=True):
            logits = level_scores[image].flatten().float()
            possible = torch.nonzero(logits > math.log(min_score / (1 - min_score)))[:, 0]
            values, order = logits[possible].topk(min(per_level, len(possible)))
            chosen = possible[order]
            height, width = level_scores.shape[2:]
            references = reference_boxes(height, width, stride, logits.device)[chosen]
            best_scores.append(values.sigmoid())
            best_boxes.append(canonical_boxes(decode(references, _rows(level_codes[image])[chosen])))
        score, box = torch.cat(best_scores), torch.cat(best_boxes)
        box[:, 2:4] = box[:, 2:4].clamp(min=1.0)
        kept = rotated_nms(_numpy(box), _numpy(score), iou_threshold=0.7, most=most)
        index = torch.from_numpy(kept).to(box.device)
        return box[index], score[index]


def _rows(codes: torch.Tensor) -> torch.Tensor:
    """Return the codes of one image, shape (30, y, x), in the order of its references, shape (6 × positions, 5)."""
    return codes.float().reshape(N_ANGLES, 5, -1).transpose(1, 2).reshape(-1, 5)


def _numpy(values: torch.Tensor) -> np.ndarray:
    """Return a tensor as float64 on the host."""
    return np.asarray(values.detach().double().cpu())
