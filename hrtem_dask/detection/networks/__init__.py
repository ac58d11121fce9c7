"""Networks of detection, from the parts of torchvision: backbones, rotated Faster R-CNN, Mask R-CNN."""
