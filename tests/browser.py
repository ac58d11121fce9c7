"""A headless Chromium, driven by its DevTools protocol: pages as a reader sees them, and what their console says.

Only tornado is needed, which distributed brings.
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

ANSWER_WITHIN_S = 30.0
LARGEST_MESSAGE = 2**27
EVERY_ELEMENT = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
})(document)"""
OWN_TEXT = """.filter(e => !["SCRIPT", "STYLE", "TITLE"].includes(e.tagName))
  .map(e => [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data.trim()).join(" "))
  .filter(text => text).join(" ")"""
COUNT_PIXELS = """.filter(e => e.tagName === "CANVAS" && e.width > 0 && e.height > 0).reduce((sum, canvas) => {
  const data = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  for (let i = 0; i < data.length; i += 4)
    sum += data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255;
  return sum;
}, 0)"""


def find_chromium() -> str | None:
    """Path of the browser, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


class Browser:
    """One tab.

    `errors` holds uncaught exceptions, console errors and requests that failed.
    """

    text_script = EVERY_ELEMENT + OWN_TEXT

    def __init__(self, executable: str, profile: Path, size: tuple[int, int] = (1400, 1000)) -> None:
        self.errors: list[str] = []
        self._number = 0
        self._loop = IOLoop(make_current=False)
        self._process = subprocess.Popen(
            [
                executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
                f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._socket = self._connect(profile / "DevToolsActivePort")
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._call(f"{domain}.enable")
            self.resize(*size)
        except BaseException:
            self._end_process()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
        self._end_process()
        self._loop.close()

    def open(self, address: str) -> None:
        answer = self._call("Page.navigate", url=address)
        assert "errorText" not in answer, f"{address}: {answer['errorText']}"
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression on the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout: float = 20.0) -> Any:
        """Wait until an expression is true, and return it."""
        until = time.monotonic() + timeout
        while not (value := self.evaluate(script)):
            assert time.monotonic() < until, f"not true after {timeout:g} s: {script}; console: {self.errors}"
            time.sleep(0.1)
        return value

    def text(self) -> str:
        """What the page says, as it is rendered: also inside Bokeh's shadow trees."""
        return str(self.evaluate(self.text_script))

    def count_pixels(self, colour: tuple[int, int, int]) -> int:
        """Pixels of one colour (RGB, 0 to 255) on all canvases: a plot that is drawn has its marks' colour."""
        return int(self.evaluate(f"(([r, g, b]) => {EVERY_ELEMENT}{COUNT_PIXELS})({list(colour)})"))

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write the whole page as PNG, or what the window shows of it."""
        content = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(content))

    def print_page(self, path: Path) -> None:
        """Print to PDF, on the paper that the page asks for."""
        content = self._call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
        path.write_bytes(base64.b64decode(content))

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of another size, in px."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _connect(self, port_file: Path) -> Any:
        until = time.monotonic() + ANSWER_WITHIN_S
        while not (port_file.exists() and "\n" in port_file.read_text()):
            assert self._process.poll() is None, f"chromium ended with status {self._process.returncode}"
            assert time.monotonic() < until, "chromium does not start"
            time.sleep(0.05)
        port = port_file.read_text().split("\n")[0]
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{port}/json/list", timeout=ANSWER_WITHIN_S) as answer:
            targets = json.load(answer)
        address = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")

        async def connect() -> Any:
            return await websocket_connect(address, max_message_size=LARGEST_MESSAGE)

        return self._loop.run_sync(connect)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number

        async def exchange() -> dict[str, Any]:
            await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                text = await self._socket.read_message()
                assert text is not None, "chromium has gone"
                message = json.loads(text)
                if message.get("id") == number:
                    return message
                self._note(message)

        answer = self._loop.run_sync(exchange, timeout=ANSWER_WITHIN_S)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.errors.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Network.responseReceived" and parameters["response"]["status"] >= 400:
            self.errors.append(f"{parameters['response']['status']} {parameters['response']['url']}")

    def _end_process(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
