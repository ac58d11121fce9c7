"""The notebooks run, and their two forms agree: .ipynb for the reader, .py for the diff."""

from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Return type and source of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_every_notebook_has_both_forms() -> None:
    assert len(SOURCES) == 5
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_both_forms_agree_and_hold_no_outputs(source: Path) -> None:
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    assert cells(notebook) == cells(jupytext.read(source)), "run `make notebooks-pair`"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count is not None], "run nbstripout"


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_ends_with_a_figure(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # simulated files are removed after the test
    notebook = jupytext.read(source)
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "display_data" and "image/png" in output.data
    ]
    assert figures, f"{source.name} draws nothing"
