"""Debian's Chromium, headless, driven by Selenium; nothing is downloaded."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

DRIVER, CHROMIUM = "/usr/bin/chromedriver", "/usr/bin/chromium"
# What a browser may ask for, by itself and of others, but for the page.
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)


def need_browser() -> None:
    """Skip where there is none."""
    pytest.importorskip("selenium", reason="needs selenium: pip install selenium")
    if not (shutil.which(DRIVER) and shutil.which(CHROMIUM)):
        pytest.skip(
            "no browser; to install, type: sudo apt-get update && "
            "sudo apt-get install --no-install-recommends chromium chromium-driver"
        )


class Browser:
    """A window of its own size and preferences."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """What the elements that are shown hold."""
        return list(
            self.run(
                "return [...document.querySelectorAll(arguments[0])]"
                ".filter(e => e.getClientRects().length).map(e => e.textContent)",
                selector,
            )
        )

    def text(self, selector: str) -> str:
        return "\n".join(self.texts(selector))

    def look(
        self, width: int, height: int, dark: bool = False, calm: bool = False, ratio: int = 1
    ) -> None:
        """As on a screen of this size, in CSS pixels, with these preferences of its user."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": ratio}
        self.command("Emulation.setDeviceMetricsOverride", **metrics, mobile=width < 600)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "no-preference",
        }
        named = [{"name": name, "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=named)

    def command(self, name: str, **parameters: object) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def press(self, key: str) -> None:
        """A key, to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(key)

    def errors(self) -> list[str]:
        """What the browser complained about since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in QUIET:
        options.add_argument(argument)
    if os.geteuid() == 0:  # as which its sandbox does not work
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
