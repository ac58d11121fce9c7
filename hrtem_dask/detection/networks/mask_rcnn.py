"""Mask R-CNN of torchvision (K. He et al., ICCV 2017) on a backbone for gray images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.ops import MultiScaleRoIAlign

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.networks.backbones import STRIDES_PX, BackboneName, GrayPyramid
from hrtem_dask.detection.networks.interface import DetectionNetwork, class_numbers
from hrtem_dask.errors import ModelError

__all__ = ["MaskRCNN", "place_mask"]

ANCHORS_PX = ((8, 12), (20, 32), (48, 72), (110, 170))
"""Sides of the anchors of each level: small vesicles and holes of 6 px, large vesicles of up to 170 px."""
PROPOSALS = {"training": 2000, "testing": 1200}
"""One limit for all levels together: with fewer, many small objects leave large ones without a proposal."""
_HIDDEN = 192


class MaskRCNN(DetectionNetwork):
    """Mask R-CNN.

    Parameters
    ----------
    class_names : sequence of str
        Classes that it tells apart.
    backbone : {"efficientnet_lite0", "mobilenet_v2", "resnet50"}
        Network of ImageNet.
    channels : int
        Channels of the feature pyramid.
    """

    def __init__(
        self, class_names: Sequence[str], *, backbone: BackboneName = "efficientnet_lite0", channels: int = 64
    ) -> None:
        super().__init__(class_names)
        n = len(self.class_names) + 1
        self.pyramid = GrayPyramid(backbone, channels)
        levels = [str(stride) for stride in STRIDES_PX]
        both = TorchvisionMaskRCNN(
            self.pyramid,
            rpn_anchor_generator=AnchorGenerator(ANCHORS_PX, ((0.7, 1.0, 1.4),) * len(levels)),
            rpn_pre_nms_top_n_train=PROPOSALS["training"],
            rpn_pre_nms_top_n_test=PROPOSALS["testing"],
            rpn_post_nms_top_n_train=PROPOSALS["training"],
            rpn_post_nms_top_n_test=PROPOSALS["testing"],
            box_roi_pool=MultiScaleRoIAlign(levels, 7, 2, canonical_scale=64),
            box_head=TwoMLPHead(channels * 49, _HIDDEN),
            box_predictor=FastRCNNPredictor(_HIDDEN, n),
            box_batch_size_per_image=256,
            box_detections_per_img=500,
            mask_roi_pool=MultiScaleRoIAlign(levels, 14, 2, canonical_scale=64),
            mask_head=MaskRCNNHeads(channels, (channels, channels), 1),
            mask_predictor=MaskRCNNPredictor(channels, channels, n),
        )
        # torchvision's transform, which resizes and normalizes photographs, is left out
        self.rpn: nn.Module = both.rpn
        self.roi_heads: nn.Module = both.roi_heads

    def losses(self, images: torch.Tensor, truth: Sequence[Instances]) -> dict[str, torch.Tensor]:
        """Return what training makes small; ignored instances count as background.

        Parameters
        ----------
        images : torch.Tensor
            Shape (n, 1, y, x), sides multiples of 32 px, mean 0 and standard deviation 1.
        truth : sequence of Instances
            What is true of each image, with masks.

        Returns
        -------
        dict of str to torch.Tensor
            Losses of both stages, to be added.

        Raises
        ------
        ModelError
            If an instance has no mask.
        """
        shape = (images.shape[2], images.shape[3])
        targets = [self._target(one, images.device) for one in truth]
        levels = self.pyramid(images)
        listed = ImageList(images, [shape] * len(images))
        proposals, first = self.rpn(listed, levels, targets)
        _, second = self.roi_heads(levels, proposals, listed.image_sizes, targets)
        losses: dict[str, torch.Tensor] = {**first, **second}
        return losses

    def _target(self, truth: Instances, device: torch.device) -> dict[str, torch.Tensor]:
        """Return what is true of an image as torchvision takes it: pixel (0, 0) covers 0 to 1."""
        if truth.masks is None:
            raise ModelError("Mask R-CNN learns from masks, and these annotations have none: give outlines or labels")
        has_pixels = np.array([mask.area_px > 0 for mask in truth.masks], dtype=bool)
        kept = truth.select(~truth.ignored & has_pixels)
        masks = np.zeros((len(kept), *truth.shape), np.uint8)
        for image, mask in zip(masks, kept.masks or (), strict=True):
            mask.paint(image)
        return {
            "boxes": torch.tensor(kept.boxes + 0.5, dtype=torch.float32, device=device).reshape(-1, 4),
            "labels": class_numbers(kept, self.class_names, device),
            "masks": torch.from_numpy(masks).to(device),
        }

    @torch.no_grad()
    def detect(self, image: torch.Tensor, *, shape: tuple[int, int], min_score: float = 0.05) -> Instances:
        """Find the instances of one image.

        Parameters
        ----------
        image : torch.Tensor
            Shape (1, y, x), sides multiples of 32 px, mean 0 and standard deviation 1.
        shape : tuple of int
            (height, width) of the image without its padding (px).
        min_score : float
            Least score.

        Returns
        -------
        Instances
            By falling score, with masks; those without a pixel in the image are left out.
        """
        levels = self.pyramid(image[None]) if self.features is None else self.features(image[None])[0]
        listed = ImageList(image[None], [(image.shape[1], image.shape[2])])
        proposals, _ = self.rpn(listed, levels)
        found = self._second_stage(levels, proposals, listed.image_sizes, min_score)
        boxes, scores, labels, masks = (one.cpu().numpy() for one in found)
        placed = [place_mask(mask[0], box, shape) for mask, box in zip(masks, boxes, strict=True)]
        kept = [i for i, mask in enumerate(placed) if mask.area_px]
        return Instances.from_masks(
            [placed[i] for i in kept],
            shape=shape,
            class_names=np.array(self.class_names, dtype=str)[labels[kept] - 1],
            scores=scores[kept],
        )

    def _second_stage(
        self, levels: dict[str, torch.Tensor], proposals: list[torch.Tensor], sizes: list[tuple[int, int]], least: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return boxes, scores, labels and masks of one image: as torchvision's, which also computes unsure masks."""
        heads: Any = self.roi_heads
        logits, codes = heads.box_predictor(heads.box_head(heads.box_roi_pool(levels, proposals, sizes)))
        [boxes], [scores], [labels] = heads.postprocess_detections(logits, codes, proposals, sizes)
        sure = scores >= least
        boxes, scores, labels = boxes[sure], scores[sure], labels[sure]
        masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(levels, [boxes], sizes)))
        return boxes, scores, labels, maskrcnn_inference(masks, [labels])[0]


def place_mask(probability: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> InstanceMask:
    """Return the pixels of an image where the mask of a box is at least half sure.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (28, 28): of the cells of the box.
    box : numpy.ndarray
        Shape (4,): x_min, y_min, x_max, y_max (px), pixel (0, 0) covers 0 to 1.
    shape : tuple of int
        (height, width) of the image (px).

    Returns
    -------
    InstanceMask
        The part in the image.
    """
    x0, y0 = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
    x1, y1 = min(int(np.ceil(box[2])), shape[1]), min(int(np.ceil(box[3])), shape[0])
    if x1 <= x0 or y1 <= y0:
        return InstanceMask(np.zeros((0, 0), dtype=bool), y0, x0)
    cells_y, cells_x = probability.shape
    x = (np.arange(x0, x1) + 0.5 - box[0]) / max(box[2] - box[0], 1e-6) * cells_x
    y = (np.arange(y0, y1) + 0.5 - box[1]) / max(box[3] - box[1], 1e-6) * cells_y
    map_x, map_y = np.meshgrid((x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32))
    values = cv2.remap(probability.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = ((y >= 0) & (y <= cells_y))[:, None] & ((x >= 0) & (x <= cells_x))
    return InstanceMask.from_image((values >= 0.5) & inside, y0_px=y0, x0_px=x0)
