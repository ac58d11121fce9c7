"""The paragraph for a paper says what the run recorded, and nothing else."""

import json
from pathlib import Path

import pytest

from hrtem_dask.report import write_report
from hrtem_dask.report.methods import methods_paragraph


@pytest.fixture(scope="module")
def summary(results: Path) -> dict:
    return json.loads((Path(write_report(results)).parent / "summary.json").read_text(encoding="utf-8"))


def test_it_states_counts_sources_and_versions(summary: dict) -> None:
    text = methods_paragraph(summary)
    assert text == summary["methods_paragraph"]
    assert "Of 14 images, 12 were analyzed, 1 set aside and 1 could not be read." in text
    assert "The pixel size was 0.05 nm (source: user)." in text
    assert "by a U-Net (model 0123456789abcdef)" in text
    assert "144 particles of 12 micrographs were counted" in text
    assert "Labels of 1 micrograph were corrected by hand." in text
    assert f"numpy {summary['provenance']['versions']['numpy']}" in text
    assert "Groschner" in text


def test_what_is_not_known_is_not_stated(summary: dict) -> None:
    changed = json.loads(json.dumps(summary))
    changed["provenance"] |= {"code_version": None, "model_hashes": []}
    changed["provenance"]["settings"] = {"segmentation": {"method": "otsu"}}
    changed["measured"]["pixel_size_nm"]["y"] |= {"n": 0}
    changed["all"].pop("equivalent_diameter_nm")
    text = methods_paragraph(changed)
    assert "by Otsu's threshold." in text
    assert "No pixel size was known, and lengths are in pixels." in text
    assert "None" not in text
    assert "watershed" not in text
    assert "uncertainties" not in text
