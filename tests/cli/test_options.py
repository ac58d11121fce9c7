"""Calls that cannot succeed end at once, in one line: before anything heavy is imported, and without a cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = {
    "report nothere": "there is no folder 'nothere'",
    "report empty": "no results in 'empty'",
    "report text.txt": "'text.txt' is a file",
    "report results --bias-from empty": "no results in 'empty'",
    "report results --confusion text.txt": "text.txt: need {",
    "export empty --format csv --out tables": "no results in 'empty'",
    "correct nothere labels": "there is no folder 'nothere'",
    "correct results": "give either CORRECTED or --undo",
    "evaluate nothere": "nothere: this path does not exist",
    "evaluate text.txt --results empty": "no results in 'empty'",
    "train segmentation nothere --out m.safetensors": "nothere: this path does not exist",
    "train segmentation empty --out m.h5": "give a name that ends in .safetensors",
    "train segmentation empty --out m.safetensors --from nothere.h5": "nothere.h5: this path does not exist",
    "train defects nothere --out m.safetensors": "nothere: this path does not exist",
    "train defects empty --out m": "give a name that ends in .safetensors",
    "train detection nothere --out m.safetensors": "nothere: this path does not exist",
    "train detection --out m.safetensors --backbone nothere": "nothere: this path does not exist",
    "train quality nothere empty --familiar empty": "nothere: this path does not exist",
    "train backbone nothere.pth --out b.safetensors": "nothere.pth: this path does not exist",
}
PROGRAM = """
import json, sys
from click.testing import CliRunner
from hrtem_dask.cli import main
for call in json.load(sys.stdin):
    done = CliRunner().invoke(main, call.split())
    heavy = [name for name in ("torch", "pandas", "scipy", "distributed") if name in sys.modules]
    print(json.dumps([call, done.exit_code, done.output, heavy]))
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """How each call ended, all in one new process: exit status, output, and heavy libraries that were imported."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("hello")
    (folder / "results").mkdir()
    (folder / "results" / "micrographs.parquet").touch()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(list(CALLS)), capture_output=True, text=True, cwd=folder, check=True, timeout=120,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {call: (status, output, heavy) for call, status, output, heavy in lines}


@pytest.mark.parametrize("call", CALLS)
def test_the_error_names_what_is_wrong_and_costs_nothing(
    ended: dict[str, tuple[int, str, list[str]]], call: str
) -> None:
    status, output, heavy = ended[call]
    assert status in (1, 2), output
    assert CALLS[call] in output
    assert "Traceback" not in output
    assert heavy == []


def test_urls_members_and_patterns_are_left_to_what_reads_them() -> None:
    from hrtem_dask.cli.options import PLACE

    for text in ("s3://bucket/labels", "labels.zip::set", "labels/*.png", str(Path.cwd())):
        assert PLACE.convert(text, None, None) == text
