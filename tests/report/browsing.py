"""A real browser, headless, driven over its DevTools protocol through a pipe; only the standard library."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip
# The protocol speaks through files 3 and 4; a process between gives the pipe these numbers.
_LAUNCHER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_SECONDS = 60


class Browser:
    """One browser with one page; ``errors`` and ``requests`` are what the page threw, logged and asked for."""

    def __init__(self, profile):
        read, self._out = os.pipe()
        self._in, write = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read, write)]
        flags = (*_FLAGS, f"--user-data-dir={profile}", "about:blank")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *map(str, ends), str(CHROMIUM), *flags],
            pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (read, write, *ends):
            os.close(end)
        self._number, self._left, self._messages, self._session = 0, b"", [], None
        self.errors, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        """End the browser and nothing else."""
        self._process.terminate()
        self._process.wait(timeout=_SECONDS)
        for end in (self._in, self._out):
            os.close(end)

    def call(self, method, **params):
        """Ask for something and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda told: told.get("id") == self._number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address, width=1440, height=1000, scripts=True):
        """Load a page in a window of this size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url="about:blank")  # an address that differs in its hash alone loads nothing
        self.until("location.href === 'about:blank' && document.readyState === 'complete'")
        self.errors.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script):
        """The value of a script, a promise awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition):
        """Wait until a script is true."""
        end = time.monotonic() + _SECONDS
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.01)

    def press(self, key):
        """Press and release a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": _TEXTS[key]} if kind == "keyDown" and key in _TEXTS else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key], **typed)

    def _wait(self, is_wanted):
        end = time.monotonic() + _SECONDS
        while True:
            while self._messages:
                told = self._messages.pop(0)
                self._note(told)
                if is_wanted(told):
                    return told
            assert select.select([self._in], [], [], max(0, end - time.monotonic()))[0], "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            *whole, self._left = (self._left + data).split(b"\0")
            self._messages += [json.loads(text) for text in whole]

    def _note(self, told):
        params = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"]["exception"].get("description"))
        elif told.get("method") == "Log.entryAdded":
            self.errors.append(params["entry"]["text"])
        elif told.get("method") == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning"}:
            self.errors.append(str(params["args"]))
        elif told.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


_TEXTS = {"Enter": "\r"}
_KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13}
