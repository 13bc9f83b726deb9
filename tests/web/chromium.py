"""In: an address. Out: Chromium at that address, without a window: clicks, keys, what the page says, pictures. Never here: a page's name.

It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over one websocket; no driver is needed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
AXE_PLACES: Final = (Path("node_modules/axe-core/axe.min.js"),)
_OWN: Final = ("http://127.0.0.1:", "data:", "blob:")
WAIT_S: Final = 90.0
"""As long as a page may take on a machine that has much to do."""


def program() -> str | None:
    """Where Chromium is; None where it is not."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def axe_script() -> str | None:
    """The accessibility rules of axe-core: from node_modules where there is a newer one, else from the package axe-core-python."""
    for path in AXE_PLACES:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    try:
        import axe_core_python
    except ImportError:
        return None
    return Path(axe_core_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


class Browser:
    """One tab of one Chromium with a profile of its own; use as a context."""

    def __init__(self, *, width: int = 1280, height: int = 900) -> None:
        from websockets.sync.client import connect

        found = program()
        if found is None:
            raise RuntimeError("Chromium is not installed")
        self._open = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="tracehound-chromium-"))
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        self._process = subprocess.Popen(
            [found, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-extensions", "--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={self.folder / 'profile'}",
             f"--window-size={width},{height}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = self._port()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
                page = next(t for t in json.load(answer) if t["type"] == "page")
            self._socket = self._open.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None, compression=None))
        except BaseException:
            self.close()
            raise
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        self.size(width, height)

    def _port(self) -> int:
        file = self.folder / "profile" / "DevToolsActivePort"
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            if file.is_file() and (lines := file.read_text().splitlines()) and lines[0].isdigit():
                return int(lines[0])
            if self._process.poll() is not None:
                raise RuntimeError(f"Chromium ended with status {self._process.returncode}")
            time.sleep(0.05)
        raise RuntimeError("Chromium did not begin")

    def close(self) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the protocol ------------------------------------------------------------------------------------------------------

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come between are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def ask(self, script: str) -> Any:
        """What an expression of the page gives, promises awaited."""
        got = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise RuntimeError(got["exceptionDetails"].get("exception", {}).get("description", "exception in the page"))
        return got["result"].get("value")

    def wait(self, script: str, seconds: float = WAIT_S) -> Any:
        """Until an expression is true; pages may change meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if value := self.ask(script):
                    return value
            except RuntimeError:
                pass  # the page went away under the question
            time.sleep(0.1)
        raise AssertionError(f"after {seconds:.0f} s not true: {script}; the page says {self.text()[:600]!r}")

    # -- what a person does ------------------------------------------------------------------------------------------------

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, address: str) -> None:
        self.ask("window.left = true")
        self.command("Page.navigate", url=address)
        self.arrived()

    def arrived(self) -> None:
        """Until the next page is there and its script has run."""
        self.wait("!window.left && document.readyState === 'complete'")

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled to. Raises AssertionError where it is missing or not to be seen."""
        found = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null; "
            "e.scrollIntoView({block: 'center'}); "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2, r.width * r.height]; })()"
        )
        assert found, f"no {selector} on {self.ask('location.href')}"
        assert found[2] > 0, f"{selector} is not to be seen"
        return found[0], found[1]

    def click(self, selector: str, *, leaves: bool = True) -> None:
        """Click an element; `leaves`: another page comes."""
        x, y = self.place(selector)
        if leaves:
            self.ask("window.left = true")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if leaves:
            self.arrived()

    def drag(self, selector: str, begin: float, end: float) -> None:
        """Drag over an element from one share of its width to another."""
        x, y, width = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}}); "
            "const r = e.getBoundingClientRect(); return [r.x, r.y + r.height / 2, r.width]; })()"
        )
        for kind, share in (("mousePressed", begin), ("mouseMoved", (begin + end) / 2), ("mouseMoved", end), ("mouseReleased", end)):
            self.command("Input.dispatchMouseEvent", type=kind, x=x + width * share, y=y, button="left", clickCount=1, buttons=1)

    def write(self, selector: str, text: str) -> None:
        """Replace what a field holds, by the keyboard."""
        self.ask(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        self.command("Input.insertText", text=text)

    def key(self, name: str) -> None:
        code = {"Tab": 9, "Enter": 13}[name]
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            self.command("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    def text(self) -> str:
        """All that the page says."""
        return str(self.ask("document.body.innerText"))

    def downloaded(self) -> Path:
        """The next file that was downloaded whole."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            files = [p for p in self.downloads.iterdir() if not p.name.endswith(".crdownload")]
            if files:
                return files[0]
            time.sleep(0.1)
        raise AssertionError("nothing was downloaded")

    def picture(self, path: Path, *, selector: str | None = None) -> None:
        """The page as it is seen, or one element, as PNG."""
        clip = {}
        if selector is not None:
            self.place(selector)
            x, y, w, h = self.ask(
                f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
                "return [r.x + scrollX, r.y + scrollY, r.width, r.height]; })()"
            )
            clip = {"clip": {"x": x, "y": y, "width": w, "height": h, "scale": 1}, "captureBeyondViewport": True}
        else:
            self.ask("scrollTo(0, 0)")
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png", **clip)["data"]))

    def complaints(self) -> list[str]:
        """What the browser itself found wrong: exceptions of scripts, refusals of the content policy, requests elsewhere."""
        self.command("Runtime.getIsolateId")  # so that what happened until now has arrived
        out = []
        for event in self.events:
            p = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                out.append(p["exceptionDetails"].get("exception", {}).get("description") or p["exceptionDetails"]["text"])
            if event.get("method") == "Log.entryAdded" and p["entry"]["level"] == "error":
                out.append(f"{p['entry']['text']} {p['entry'].get('url', '')}")
            if event.get("method") == "Network.requestWillBeSent" and not p["request"]["url"].startswith(_OWN):
                out.append(f"asked for {p['request']['url']}")
        return out
