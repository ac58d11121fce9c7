"""Scattering, multislice and the lens against theory, and against abTEM."""

import numpy as np
import pytest
import scipy.fft

from hrtem_dask.simulation.atoms import Atoms, build_crystal
from hrtem_dask.simulation.crystals import find_crystal
from hrtem_dask.simulation.imaging.carbon import MIN_DISTANCE_NM, carbon_phase, random_packing
from hrtem_dask.simulation.imaging.multislice import exit_wave, resample_wave
from hrtem_dask.simulation.imaging.optics import Optics, image_intensity, propagate
from hrtem_dask.simulation.imaging.scattering import (
    phase_profile,
    scattering_factor_nm,
    scattering_phase,
    wavelength_nm,
)
from hrtem_dask.simulation.orientations import draw_orientation
from hrtem_dask.simulation.shapes import draw_shape


@pytest.mark.parametrize(("voltage", "picometres"), [(80, 4.176), (200, 2.508), (300, 1.969)])
def test_wavelengths(voltage: float, picometres: float) -> None:
    assert wavelength_nm(voltage) == pytest.approx(picometres / 1e3, rel=3e-4)  # Kirkland, table 2.2


def test_scattering_factors_fall_like_rutherford() -> None:
    # f(k) -> Z / (2 pi² a0 k²) at large angles (Kirkland 5.9); a0 = 0.0529 nm
    k = np.array([600.0])
    for element, number in (("C", 6), ("Au", 79)):
        rutherford = number / (2 * np.pi**2 * 0.0529177 * k**2)
        assert scattering_factor_nm(element, k)[0] == pytest.approx(rutherford[0], rel=0.03)
    with pytest.raises(ValueError, match="no scattering factor for 'Xx'"):
        scattering_factor_nm("Xx", k)


def test_an_atoms_phase_integrates_to_its_forward_scattering() -> None:
    profile = phase_profile("Se", 300.0, 13.3)
    squared = np.linspace(0, 0.3**2, profile.size)
    integral = np.trapezoid(profile, squared) * np.pi  # ∫ phase 2πr dr, with r dr = d(r²)/2
    assert integral == pytest.approx(scattering_phase("Se", np.array([0.0]), 300.0, 13.3)[0], rel=0.08)


def test_multislice_keeps_every_electron_below_the_band_limit() -> None:
    atoms = Atoms(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.3], [1.2, 0.9, 0.6]]), np.zeros(3, int), ("Se",))
    wave = exit_wave(atoms, size_px=160, sampling_nm=0.0125, voltage_kv=300, limit_per_nm=26)
    assert np.mean(np.abs(wave) ** 2) == pytest.approx(1, abs=2e-3)
    absorbed = exit_wave(atoms, size_px=160, sampling_nm=0.0125, voltage_kv=300, limit_per_nm=26, absorption=0.1)
    assert np.mean(np.abs(absorbed) ** 2) < np.mean(np.abs(wave) ** 2)


def test_resampling_keeps_a_band_limited_wave() -> None:
    x = np.arange(96) / 96
    wave = np.exp(1j * 0.3 * (np.cos(2 * np.pi * 3 * x)[:, None] + np.sin(2 * np.pi * 5 * x)[None, :])).astype(
        np.complex64
    )
    np.testing.assert_allclose(resample_wave(resample_wave(wave, 160), 96), wave, atol=2e-6)
    np.testing.assert_allclose(resample_wave(wave, 192)[::2, ::2], wave, atol=2e-6)


def test_carbon_is_packed_at_its_density_without_overlap() -> None:
    atoms = random_packing(np.random.default_rng(0), 4.0, 5.0, 3.0)
    assert len(atoms) == 6000
    from scipy.spatial import cKDTree

    nearest = cKDTree(atoms).query(atoms, k=2)[0][:, 1]
    assert nearest.min() >= MIN_DISTANCE_NM - 1e-6


def test_carbon_phase_is_the_sum_of_its_atoms() -> None:
    """Mean phase = number of atoms times forward scattering over area; thickness is respected where it varies."""
    thickness = np.where(np.arange(200) < 100, 2.0, 4.0)[None, :].repeat(200, 0).astype(np.float32)
    phase = carbon_phase(
        np.random.default_rng(0),
        (200, 200),
        sampling_nm=0.03,
        thickness_nm=thickness,
        voltage_kv=300,
        limit_per_nm=16.0,
    )
    forward = scattering_phase("C", np.array([0.0]), 300.0, 16.0)[0]
    thin, thick = phase[:, 20:80].mean(), phase[:, 120:180].mean()
    assert thin == pytest.approx(100 * 2.0 * forward, rel=0.05)
    assert thick / thin == pytest.approx(2, rel=0.05)


def test_the_lens_images_a_weak_phase_grating_as_theory_says() -> None:
    """Contrast of a weak grating is 2 sin χ times its amplitude (Kirkland 3.43)."""
    n, sampling, periods = 256, 0.02, 16
    k = periods / (n * sampling)
    amplitude = 0.01
    grating = amplitude * np.cos(2 * np.pi * periods * np.arange(n) / n)
    wave = np.exp(1j * grating)[None, :].repeat(n, 0).astype(np.complex64)
    for defocus in (20.0, 60.0, -35.0):
        optics = Optics(voltage_kv=300, defocus_nm=defocus, cs_mm=0.6)
        wavelength = wavelength_nm(300)
        chi = np.pi * wavelength * k**2 * (0.5 * 0.6e6 * wavelength**2 * k**2 - defocus)
        image = image_intensity(wave, optics, sampling_nm=sampling)
        measured = 2 * np.real(scipy.fft.fft(image[0])[periods]) / n
        # with exp(-i chi) on the scattered wave, phase contrast is +2 sin(chi)
        assert measured == pytest.approx(2 * amplitude * np.sin(chi), abs=3e-4)


def test_focal_spread_damps_and_loses_no_electron() -> None:
    rng = np.random.default_rng(0)
    wave = np.exp(0.5j * rng.standard_normal((128, 128))).astype(np.complex64)
    sharp = image_intensity(wave, Optics(defocus_nm=40), sampling_nm=0.03)
    spread = image_intensity(wave, Optics(defocus_nm=40, focal_spread_nm=5), sampling_nm=0.03)
    assert spread.mean() == pytest.approx(sharp.mean(), rel=1e-5)
    assert spread.std() < 0.9 * sharp.std()


def test_propagating_forth_and_back_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal((64, 80)) + 1j).astype(np.complex64)
    there = propagate(wave, 30.0, voltage_kv=300, sampling_nm=0.03)
    np.testing.assert_allclose(propagate(there, -30.0, voltage_kv=300, sampling_nm=0.03), wave, atol=1e-5)
    focused = image_intensity(there, Optics(defocus_nm=20.0, aperture_per_nm=99), sampling_nm=0.03)
    shifted = image_intensity(wave, Optics(defocus_nm=-10.0, aperture_per_nm=99), sampling_nm=0.03)
    np.testing.assert_allclose(focused, shifted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("material", "diameter", "defocus", "carbon", "sampling", "misoriented", "cs"),
    [
        ("Au", 4, 50, 4, 0.0125, False, 0.0),
        ("Au", 4, 10, 4, 0.0125, False, 0.0),
        ("Au", 4, 50, 4, 0.0125, True, 0.0),
        ("CdSe", 5, 50, 4, 0.02, False, 0.0),
        ("CdSe", 5, 10, 4, 0.02, False, 0.0),
        ("CdSe", 5, 70, 8, 0.02, False, 1.0),
    ],
)
def test_the_hybrid_agrees_with_full_multislice_by_abtem(
    material: str, diameter: float, defocus: float, carbon: float, sampling: float, misoriented: bool, cs: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Particle in its box, run on to the middle of the film's phase, against abTEM through every atom of both."""
    abtem = pytest.importorskip("abtem")
    ase = pytest.importorskip("ase")
    rng = np.random.default_rng(7)
    crystal = find_crystal(material)
    shape = draw_shape(rng, crystal, "sphere", diameter)
    positions, kinds = build_crystal(crystal, shape.radius_nm)
    inside = shape.contains(positions)
    orientation = draw_orientation(rng, crystal, misoriented=misoriented, edge_on=True)
    positions = positions[inside] @ orientation.matrix.T
    positions += rng.normal(0, crystal.displacement_nm, positions.shape)
    kinds = kinds[inside]
    side = diameter + 3.0
    n = scipy.fft.next_fast_len(int(np.ceil(side / sampling)))
    positions += [side / 2, side / 2, -positions[:, 2].min()]
    elements = crystal.elements
    film = random_packing(rng, side, side, carbon)
    gap = 0.15

    coarse = int(side / 0.025)
    wave = exit_wave(
        Atoms(positions, kinds, elements),
        size_px=n,
        sampling_nm=side / n,
        voltage_kv=300,
        limit_per_nm=1 / (3 * sampling),
    )
    wave = propagate(resample_wave(wave, coarse), gap + carbon / 2, voltage_kv=300, sampling_nm=side / coarse)
    monkeypatch.setattr("hrtem_dask.simulation.imaging.carbon.random_packing", lambda *_: film)
    phase = carbon_phase(
        rng, (coarse, coarse), sampling_nm=side / coarse,
        thickness_nm=np.full((coarse, coarse), carbon + 1, np.float32),
        voltage_kv=300, limit_per_nm=coarse / side / 2,
    )  # fmt: skip
    wave = (wave * np.exp(1j * phase)).astype(np.complex64)

    symbols = [elements[k] for k in kinds] + ["C"] * len(film)
    below = film + np.array([0, 0, positions[:, 2].max() + gap])
    scene = np.concatenate([positions, below])
    depth = scene[:, 2].max() + 0.2
    atoms = ase.Atoms(symbols, positions=scene * 10, cell=[side * 10, side * 10, depth * 10], pbc=True)
    potential = abtem.Potential(atoms, gpts=(n, n), slice_thickness=1, parametrization="lobato", projection="infinite")
    reference = abtem.PlaneWave(energy=300e3).multislice(potential, pbar=False).compute(progress_bar=False).array.T
    reference = resample_wave(np.ascontiguousarray(reference, np.complex64), coarse)

    def image(wave: np.ndarray, refocus: float) -> np.ndarray:
        optics = Optics(voltage_kv=300, defocus_nm=defocus + refocus, cs_mm=cs, focal_spread_nm=3)
        return image_intensity(wave, optics, sampling_nm=side / coarse)

    # abTEM's wave leaves at the cell's lower end, the hybrid's in the middle of the film
    to_end = depth - (positions[:, 2].max() + gap + carbon / 2)
    agreement = np.corrcoef(image(wave, 0).ravel(), image(reference, to_end).ravel())[0, 1]
    assert agreement >= 0.95
