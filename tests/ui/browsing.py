"""Chromium without a window, steered by chromedriver; nothing is fetched to have it, and it may reach nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WANTED = os.environ.get("VSTORE_TEST_BROWSER")  # 1: a lack of a browser is an error; 0: no test in one
CHROMIUM = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), "chromium")
WAIT_S = 20

# Every text that is seen, with the contrast (WCAG 2) between its colour and what is behind it, where that is below 4.5.
FAINT = """
const parse = (text) => {
  const part = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith('color') ? 1 : 255;
  return [part[0] / scale, part[1] / scale, part[2] / scale, part.length > 3 ? part[3] : 1];
};
const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] === 1) return colour;
    if (colour[3] > 0) throw new Error('a translucent background');
  }
  return [1, 1, 1, 1];
};
const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
for (let node = walk.nextNode(); node; node = walk.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || element.closest('.unseen') || !element.checkVisibility()) continue;
  seen += 1;
  const lights = [parse(getComputedStyle(element).color), behind(element)].map(luminance).sort((a, b) => b - a);
  const contrast = (lights[0] + 0.05) / (lights[1] + 0.05);
  if (contrast < 4.5) found.push([node.data.trim().slice(0, 40), contrast.toFixed(2)]);
}
return [seen, found];
"""
# By how much the page is wider than the window, and what sticks out of it.
OUTSIDE = """
const out = [...document.querySelectorAll('main *, .top *')].filter((element) => !element.closest('svg, .unseen')
  && element.getBoundingClientRect().right > arguments[0] + 1);
return [Math.max(0, document.documentElement.scrollWidth - arguments[0]), out.map((element) => element.outerHTML)];
"""
NAMELESS = """
return [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, summary')]
  .filter((element) => !(element.labels && element.labels.length) && !element.textContent.trim()
    && !element.ariaLabel).map((element) => element.outerHTML);
"""


def missing() -> str | None:
    """Why there is no browser; None where there is one."""
    if WANTED == "0":
        return "VSTORE_TEST_BROWSER=0 asks for no test in a browser"
    lacking = [name for name in (CHROMIUM, "chromedriver") if shutil.which(name) is None]
    return f"there is no {' and no '.join(lacking)} on the path" if lacking else None


class Browser:
    """A window of a browser, and what it asked for."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.requests: list[str] = []

    def go(self, url: str) -> None:
        self.driver.get(url)

    def one(self, selector: str) -> WebElement:
        """The first element, as soon as it is there."""
        return self.wait(lambda: next(iter(self.all(selector)), None))

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition: object) -> WebElement:
        return WebDriverWait(self.driver, WAIT_S, poll_frequency=0.02).until(lambda _: condition())  # type: ignore

    def script(self, source: str, *values: object) -> object:
        return self.driver.execute_script(source, *values)

    def resize(self, width: int, height: int = 900) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def scripts(self, on: bool) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def asked(self) -> list[str]:
        """The addresses that were asked for so far, whoever asked."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return self.requests

    def complaints(self) -> list[str]:
        """What the console has since the last time: broken policies, scripts that failed, what was not found."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a new profile in that (empty) folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(CHROMIUM))
    for argument in (
        "--headless",
        "--no-sandbox",  # which root cannot have; the only page it opens is ours
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-proxy-server",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = Service(executable_path=str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
