"""charlm's pages in a real browser: ``make test-browser``. Where there is none, this fails."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import charlm as package
from charlm.inspection import reading
from charlm.inspection.textmap import shown

pytestmark = pytest.mark.browser

Invoke = Callable[..., Result]
HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">\n'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_window_size(1000, 800)
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> Path:
    """A run whose corpus is full of what a browser must not take for HTML."""
    folder = tmp_path_factory.mktemp("report")
    corpus = folder / "hostile.txt"
    words = 'il treno <b>per</b> Roma & il mare\n"la luna" è (forse) BLU\n'
    corpus.write_text((words * 12 + HOSTILE) * 30, encoding="utf-8")
    done = charlm(
        "train",
        corpus,
        "--out",
        folder,
        "--hidden-size",
        16,
        "--steps",
        60,
        "--seq-len",
        32,
        "--optimizer",
        "adamw",
        "--precision",
        "float32",
        "--device",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    return folder / "hostile"


@pytest.fixture(scope="module")
def report(run: Path, charlm: Invoke) -> Path:
    page = run.parent / "report.html"
    done = charlm("report", run, "--out", page)
    assert done.exit_code == 0, done.output
    return page


def opened(browser: Any, page: Path) -> Any:
    browser.get_log("browser"), browser.get_log("performance")  # what earlier pages said
    browser.get(page.as_uri())
    return browser


def picture(browser: Any, name: str) -> None:
    """Keep a picture for a person to look at, where CHARLM_SCREENSHOTS names a directory."""
    folder = os.environ.get("CHARLM_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_it_says_nothing_on_the_console_and_asks_nobody(browser: Any, report: Path) -> None:
    opened(browser, report)
    assert browser.get_log("browser") == []
    asked = [
        entry["message"]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    ]
    assert len(asked) == 1 and report.name in asked[0]  # the page itself and nothing else
    assert browser.execute_script("return window.hacked") is None
    assert browser.execute_script("return document.images.length") == 0


def test_the_console_would_be_heard(browser: Any, tmp_path: Path) -> None:
    """The control of the test above."""
    page = tmp_path / "broken.html"
    page.write_text("<script>nowhere.to.be.found</script><img src=missing.png>")
    opened(browser, page)
    assert any(entry["level"] == "SEVERE" for entry in browser.get_log("browser"))
    asked = [e for e in browser.get_log("performance") if "requestWillBeSent" in e["message"]]
    assert len(asked) == 2


@pytest.mark.parametrize("way", ["hover", "touch"])
def test_a_character_tells_what_was_expected(
    way: str, browser: Any, report: Path, run: Path
) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    opened(browser, report)
    told = browser.find_element(By.ID, "told")
    assert not told.is_displayed()
    lm = package.load(run)
    text = (run.parent / "hostile.txt").read_text("utf-8")
    held_out = text[int(len(text) * 0.9) :]
    found = reading.read(lm.engine, lm.tokenizer, held_out[:200])
    for place in (5, 150):
        span = browser.find_element(By.CSS_SELECTOR, f'[data-n="{place}"]')
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", span)
        if way == "hover":
            ActionChains(browser).move_to_element(span).perform()
        else:
            span.click()
        assert told.is_displayed()
        first, *rest = told.text.splitlines()
        assert first.split()[0] == shown(held_out[place])
        assert float(first.split()[1]) == pytest.approx(found.bits[place], abs=0.02)
        expected = [shown(lm.tokenizer.decode([token])) for token in found.expected[place]]
        assert [line.split()[-1] for line in rest] == expected
        box = told.rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1000
    picture(browser, f"report-{way}")
    heading = browser.find_element(By.TAG_NAME, "h1")
    browser.execute_script("scrollTo(0, 0)")
    ActionChains(browser).move_to_element(heading).perform()
    assert not told.is_displayed()


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(theme: str, browser: Any, report: Path) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        opened(browser, report)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        paper = luminance(
            browser.execute_script("return " + style.format("body", "backgroundColor"))
        )
        assert (paper > 0.8) == (theme == "light")
        for part, colour in (("body", "color"), ("figure svg text", "fill"), ("nav a", "color")):
            ink = luminance(browser.execute_script("return " + style.format(part, colour)))
            contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
            assert contrast > 4.5, (part, contrast)  # WCAG AA for text
        picture(browser, f"report-{theme}")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_phone_need_not_scroll_sideways(browser: Any, report: Path) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        opened(browser, report)
        wide, there = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert there == 390
        assert wide <= there
        picture(browser, "report-phone")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(
    "command",
    [
        ["score", "RUN", "TEXT", "--html", "PAGE"],
        ["inspect", "neurons", "RUN", "TEXT", "--html", "PAGE"],
        ["inspect", "unroll", "RUN", "il mare", "--figure", "PAGE"],
    ],
)
def test_the_other_pages_are_quiet_too(
    command: list[str], browser: Any, run: Path, charlm: Invoke, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    names = {"RUN": run, "TEXT": run.parent / "hostile.txt", "PAGE": page}
    done = charlm(*(names.get(part, part) for part in command))
    assert done.exit_code == 0, done.output
    opened(browser, page)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.hacked") is None
    picture(browser, "-".join(command[:2]).replace("-RUN", ""))


def test_the_experiments_page_is_quiet_too(browser: Any) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    opened(browser, root / "docs" / "position-invariance" / "page.html")
    assert browser.get_log("browser") == []
    sent = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in sent if e["method"].endswith("WillBeSent")]
    assert [url[-9:] for url in asked if not url.startswith("data:")] == ["page.html"]
    assert browser.execute_script("return document.querySelectorAll('figure svg').length") == 5
    picture(browser, "position-invariance")


def test_a_picture_of_text_is_drawn(
    browser: Any, run: Path, charlm: Invoke, tmp_path: Path
) -> None:
    """An SVG that a browser could not parse would be an error page without a text in it."""
    figure = tmp_path / "text.svg"
    done = charlm("score", run, run.parent / "hostile.txt", "--figure", figure)
    assert done.exit_code == 0, done.output
    opened(browser, figure)
    assert browser.execute_script("return document.documentElement.nodeName") == "svg"
    lines = browser.execute_script(
        "return [...document.querySelectorAll('text:not(.h)')].map(t => t.textContent)"
    )
    assert "il treno <b>per</b> Roma & il mare" in [line.rstrip("⏎") for line in lines]
    assert browser.execute_script("return window.hacked") is None
