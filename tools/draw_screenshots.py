"""Take the screenshots of docs/screenshots: python tools/draw_screenshots.py [STORE]. Simulated micrographs only.

It simulates (some minutes; STORE keeps the micrographs for another time), runs, and opens the report, the overlays and
the live page in Chromium, which must be installed.
"""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.browser import Browser, find_chromium  # noqa: E402 - it stands in this checkout

PICTURES = ROOT / "docs" / "screenshots"
SIMULATE = "-n 24 --seed 21 --size 512 --regime contrast"
QUALITY = 60
LARGEST_BYTES = 100_000
COLUMNS = 110
DRAWN = """Bokeh.documents.length > 0 && Bokeh.documents.flatMap(d => d.roots())
  .every(root => Bokeh.index.get_by_id(root.id)?.el?.getBoundingClientRect().height > 50)"""
NARROW, WIDE = (390, 844), (1280, 900)


def command(*arguments: str) -> list[str]:
    """Return a command of this checkout."""
    return [sys.executable, "-m", "hrtem_dask", *arguments]


def environment() -> dict[str, str]:
    """Return the environment of the commands: this checkout, and lines of a fixed width."""
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "TERM": "xterm"}


def run_in_terminal(arguments: list[str], folder: Path, at_line: Callable[[str], None]) -> str:
    """Run a command as in a terminal, with its progress bar, and return what it printed."""
    printed, own = "", pty.openpty()
    process = subprocess.Popen(arguments, cwd=folder, env=environment(), stdout=own[1], stderr=own[1])
    os.close(own[1])
    while True:
        try:
            piece = os.read(own[0], 4096).decode(errors="replace")
        except OSError:  # the command has ended
            break
        printed += piece
        at_line(printed)
    os.close(own[0])
    if process.wait():
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}:\n{printed}")
    return printed


def last_states(printed: str) -> list[str]:
    """Return the lines as a terminal shows them at the end: a line that was written over counts once."""
    lines = (re.split(r"\r", line.rstrip("\r"))[-1] for line in printed.split("\n"))
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]


def draw_terminal(call: str, lines: list[str]) -> None:
    """Write what a command printed as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {call}", style="bold"))
    for line in lines:
        console.print(Text(line))
    drawn = console.export_svg(title="hrtem-dask", unique_id="run")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL).replace("Fira Code, ", "")  # nothing is fetched
    drawn = re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)
    (PICTURES / "run.svg").write_text(drawn, encoding="utf-8")


def save(picture: np.ndarray, name: str) -> None:
    """Write a picture as WebP, in half the size where it has more detail than fits into `LARGEST_BYTES`."""
    encoded, content = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not encoded or content.size > LARGEST_BYTES:
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(PICTURES / f"{name}.webp"), picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])


def shoot(browser: Browser, name: str, size: tuple[int, int], *, scroll_to: str | None = None) -> None:
    """Write what a window of this size shows, from an element on."""
    browser.resize(*size)
    browser.evaluate(f"document.querySelector({scroll_to!r})?.scrollIntoView()" if scroll_to else "scrollTo(0, 0)")
    time.sleep(2)  # figures are drawn again for the new width
    with tempfile.TemporaryDirectory() as folder:
        browser.screenshot(Path(folder, "window.png"), whole=False)
        picture = cv2.imread(str(Path(folder, "window.png")))
    assert picture is not None
    save(picture, name)


def shoot_pages(browser: Browser, name: str, folder: Path, *, pages: tuple[int, ...]) -> None:
    """Write printed pages, side by side."""
    paper = folder / "report.pdf"
    browser.print_page(paper)
    drawn = []
    for page in pages:
        one = ["pdftoppm", "-r", "55", "-f", str(page), "-l", str(page), "-singlefile", "-png", str(paper)]
        subprocess.run([*one, str(folder / f"page{page}")], check=True)
        picture = cv2.imread(str(folder / f"page{page}.png"))
        assert picture is not None
        drawn.append(cv2.copyMakeBorder(picture, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=(150, 150, 150)))
    save(np.hstack(drawn), name)


def main() -> None:
    """Simulate, run, and open every page."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is not installed")
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        store = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else folder / "my_folder"
        subprocess.run(
            command("simulate", str(store), *SIMULATE.split(), "--quiet"), env=environment(), cwd=folder, check=True
        )
        if store != folder / "my_folder":
            (folder / "my_folder").symlink_to(store)
        with Browser(chromium, folder / "profile", WIDE) as browser:
            browser._call("Emulation.setScrollbarsHidden", hidden=True)
            seen: list[str] = []

            def watch(printed: str) -> None:
                """Open the live page, and take its picture when half of the run is done."""
                link = re.search(r"population: (http\S+)", printed)
                if link and not seen:
                    browser.open(link[1])
                    seen.append("open")
                if len(seen) == 1 and re.search(r"(?<!\d)1[2-9]/24", printed):
                    time.sleep(2)
                    shoot(browser, "live", WIDE)
                    seen.append("shot")

            call = ["run", "my_folder", "--out", "results"]
            lines = last_states(run_in_terminal(command(*call), folder, watch))
            draw_terminal(f"hrtem-dask {' '.join(call)}", [line.replace(temporary + "/", "") for line in lines])
            subprocess.run(command("report", "results"), cwd=folder, env=environment(), check=True)
            browser.open((folder / "results" / "report.html").as_uri())
            browser.wait_for(DRAWN, 60)
            shoot(browser, "report", WIDE)
            shoot(browser, "report_phone", NARROW)
            shoot(browser, "report_phone_sizes", NARROW, scroll_to="#size figure")
            shoot(browser, "report", WIDE)
            shoot_pages(browser, "report_print", folder, pages=(1, 2, 4))
            browser.open((folder / "results" / "overlays" / "index.html").as_uri())
            shoot(browser, "overlays", WIDE)
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
        if path.stat().st_size > LARGEST_BYTES:
            raise SystemExit(f"{path} is larger than {LARGEST_BYTES} bytes")


if __name__ == "__main__":
    main()
