"""Draw the geometric phase of one image, in which a fault is a plane with a phase jump.

python pipelines/phase_map.py IMAGE --pixel-size 0.027 --out map.png [--box Y0 Y1 X0 X1]

From left to right: the image, and the phase of its two strongest rows of reflections as hue, dark where there are no
fringes. A perfect lattice has one color, a stacking fault separates two colors, and beyond a twin boundary one of the
rows has no fringes.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np

from hrtem_dask import loading
from hrtem_dask.fourier import PhaseMap, phase_maps, region_features

SPACINGS_NM = (0.15, 0.5)


def to_8_bits(image: np.ndarray) -> np.ndarray:
    """Scale the 1st to 99th percentile of an image to 8 bits."""
    low, high = np.percentile(image, [1, 99])
    return np.clip(255 * (image - low) / (high - low), 0, 255).astype(np.uint8)


def phase_picture(one: PhaseMap) -> np.ndarray:
    """Return a color image (blue, green, red) with the phase as hue and the amplitude as brightness."""
    amplitude, phase = one.amplitude, one.phase_rad
    middle = np.angle((amplitude * np.exp(1j * phase)).mean())
    hue = (np.angle(np.exp(1j * (phase - middle))) + np.pi) / (2 * np.pi) * 179
    value = np.clip(255 * amplitude / np.percentile(amplitude, 95), 0, 255)
    return cv2.cvtColor(np.dstack([hue, np.full_like(hue, 255), value]).astype(np.uint8), cv2.COLOR_HSV2BGR)


def main() -> None:
    """Read the image, measure the phase step, and draw the panels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--pixel-size", type=float, required=True, metavar="NM")
    parser.add_argument("--out", default="phase_map.png")
    parser.add_argument(
        "--box", type=int, nargs=4, metavar=("Y0", "Y1", "X0", "X1"), help="Measure the phase step in this box only."
    )
    options = parser.parse_args()
    image = loading.read_single_image(options.image).astype(np.float32)
    pixel = (options.pixel_size, options.pixel_size)
    maps = phase_maps(image, pixel_size_nm=pixel, spacing_range_nm=SPACINGS_NM)
    if not maps:
        raise SystemExit(f"{options.image}: no lattice fringes of {SPACINGS_NM[0]} to {SPACINGS_NM[1]} nm")
    y0, y1, x0, x1 = options.box or (0, image.shape[0], 0, image.shape[1])
    crop = image[y0:y1, x0:x1]
    _, step = region_features(crop, np.ones(crop.shape, bool), pixel_size_nm=pixel, spacing_range_nm=SPACINGS_NM)
    if step is not None:
        print(  # noqa: T201
            f"gain {step.gain:.3f} (above about 0.13: a fault), step {step.step_rad:.2f} rad, amplitudes differ by "
            f"{step.amplitude_asymmetry:.2f} (1: a twin), trace {step.angle_deg:.1f}°, {step.offset_nm:+.2f} nm off"
        )
    panels = [cv2.cvtColor(to_8_bits(image), cv2.COLOR_GRAY2BGR), *(phase_picture(one) for one in maps)]
    for panel in panels:
        cv2.rectangle(panel, (x0, y0), (x1 - 1, y1 - 1), (255, 255, 255), 1)
    cv2.imwrite(options.out, np.hstack(panels))


if __name__ == "__main__":
    main()
