"""charlm's pages in a real browser: ``make test-browser``. Without Chromium, this fails."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

import charlm as package
from charlm.inspection import reading, saliency, unrolling
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
    """A run whose corpus is full of text that a browser must not interpret as HTML."""
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
    """Save a screenshot if CHARLM_SCREENSHOTS names a directory."""
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
    found = reading.read(lm.predictor, lm.tokenizer, held_out[:200])
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


# ------------------------------------------------------------- light and dark mode, small screens


def channels(colour: str) -> list[float]:
    """The channels of "rgb(r, g, b)" or "rgba(r, g, b, a)"."""
    return [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" as WCAG 2 defines it."""
    parts = [channel / 255 for channel in channels(colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@contextmanager
def theme_of(browser: Any, theme: str) -> Iterator[None]:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@contextmanager
def telephone(browser: Any, width: int = 400) -> Iterator[None]:
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


PAGES = (
    "report",
    "score",
    "neurons",
    "unroll",
    "unroll-2d",
    "experiment",
    "experiment-page",
    "saliency",
    "saliency-2d",
)
FIGURES = ("unroll", "unroll-2d", "memory", "gradients", "compare", "neurons", "score")


@pytest.fixture(scope="module")
def folder(run: Path, report: Path, charlm: Invoke) -> Path:
    """Every page, NAME.html, and every figure, NAME.svg."""
    made = run.parent / "all"
    made.mkdir()
    shutil.copy(report, made / "report.html")
    root = Path(__file__).resolve().parent.parent.parent
    shutil.copy(root / "docs" / "position-invariance" / "page.html", made / "experiment.html")
    shutil.copy(root / "docs" / "page" / "page.html", made / "experiment-page.html")
    text, other = run.parent / "hostile.txt", run.parent / "other.safetensors"
    other.write_bytes((run / "best.safetensors").read_bytes())
    with_other = (run, text, "--with", other)
    for command in (
        ("score", run, text, "--html", made / "score.html"),
        ("score", run, text, "--figure", made / "score.svg"),
        ("inspect", "neurons", run, text, "--html", made / "neurons.html"),
        ("inspect", "neurons", run, text, "--figure", made / "neurons.svg"),
        ("inspect", "unroll", run, "il mare", "--figure", made / "unroll.html"),
        ("inspect", "unroll", run, "il mare", "--figure", made / "unroll.svg"),
        ("inspect", "unroll", "--cell", "mdlstm", "--figure", made / "unroll-2d.html"),
        ("inspect", "unroll", "--cell", "mdlstm", "--figure", made / "unroll-2d.svg"),
        ("inspect", "memory", *with_other, "--figure", made / "memory.svg"),
        ("inspect", "gradients", *with_other, "--lags", 20, "--figure", made / "gradients.svg"),
        ("compare", run, other, text, "--figure", made / "compare.svg"),
    ):
        done = charlm(*command)
        assert done.exit_code == 0, done.output
    sentence = "Nel 2009, sono andato in Nepal con un amico che avevo conosciuto nel 1998."
    shares = np.linspace(-1, 1, len(sentence))
    saliency.write_page(made / "saliency.html", saliency.Saliency(sentence, shares), "2009", "gru")
    page = "\n".join([sentence[:40]] * 24)
    shares = np.where([character == "\n" for character in page], 0, np.linspace(-1, 1, len(page)))
    of_page = saliency.Saliency(page, shares)
    saliency.write_page(made / "saliency-2d.html", of_page, "2009, row 6, columns 29 to 32", "conv")
    return made


def colours_of_text(browser: Any) -> dict[str, str]:
    """Colour -> an example of the text that has it, for all visible text of a page or a figure."""
    found: dict[str, str] = browser.execute_script("""
        const found = {};
        const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            const text = walker.currentNode.data.trim();
            const box = element.getBoundingClientRect();
            if (!text || element.closest("style, script, title, #told") || !box.width) continue;
            const style = getComputedStyle(element);
            found[element.ownerSVGElement ? style.fill : style.color] = text;
        }
        return found;""")
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_read_in_both_modes(
    name: str, theme: str, browser: Any, folder: Path
) -> None:
    with theme_of(browser, theme):
        opened(browser, folder / f"{name}.html")
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (luminance(paper) > 0.8) == (theme == "light")
        assert (luminance(paper) < 0.05) == (theme == "dark")
        colours = colours_of_text(browser)
        assert colours
        for colour, text in colours.items():
            assert contrast(colour, paper) >= 4.5, (colour, text)  # WCAG AA for text
        # No figure brings a background of its own.
        backgrounds = browser.execute_script("""
            return [...document.querySelectorAll("figure, figure svg, .scroll, .panels")].map(
                (each) => getComputedStyle(each).backgroundColor)""")
        assert {channels(each)[3] for each in backgrounds} <= {0}
        full = browser.execute_script("""
            const wide = (each) => each.getBoundingClientRect();
            return [...document.querySelectorAll("svg rect, svg path")].filter((each) => {
                const svg = each.ownerSVGElement.getBoundingClientRect();
                const box = each.getBoundingClientRect();
                return box.width > 0.95 * svg.width && box.height > 0.95 * svg.height &&
                    getComputedStyle(each).fill !== "none";
            }).length""")
        assert full == 0
        picture(browser, f"{name}-{theme}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_read_in_both_modes(
    name: str, theme: str, browser: Any, folder: Path
) -> None:
    with theme_of(browser, theme):
        opened(browser, folder / f"{name}.svg")
        paper = browser.execute_script("""
            const root = document.documentElement.getBoundingClientRect();
            for (const each of document.querySelectorAll("rect, path")) {
                const box = each.getBoundingClientRect();
                if (box.width >= root.width - 1 && box.height >= root.height - 1)
                    return getComputedStyle(each).fill;
            }""")
        assert (luminance(paper) > 0.8) == (theme == "light")
        assert (luminance(paper) < 0.05) == (theme == "dark")
        for colour, text in colours_of_text(browser).items():
            assert contrast(colour, paper) >= 4.5, (colour, text)
        # What is drawn stands out as well: no black on a dark ground, no white on a light one.
        drawn = browser.execute_script("""
            const strokes = [...document.querySelectorAll("path, line, use")].map(
                (each) => getComputedStyle(each).stroke);
            return [...new Set(strokes.filter((each) => each.startsWith("rgb")))]""")
        faint = [each for each in drawn if contrast(each, paper) < 3]
        assert len(faint) <= 1, faint  # the grid lines
        picture(browser, f"{name}-svg-{theme}")


@pytest.mark.parametrize("name", PAGES)
def test_text_is_large_enough_on_a_telephone(name: str, browser: Any, folder: Path) -> None:
    with telephone(browser):
        opened(browser, folder / f"{name}.html")
        sizes = browser.execute_script("""
            const found = [];
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const element = walker.currentNode.parentElement;
                const text = walker.currentNode.data.trim();
                if (!text || element.closest("style, script, title, #told")) continue;
                const box = element.getBoundingClientRect();
                if (!box.width && !box.height) continue;
                let size = parseFloat(getComputedStyle(element).fontSize);
                if (element.ownerSVGElement) {  // in units of the figure, which is scaled
                    const to = element.getScreenCTM();
                    size *= Math.hypot(to.a, to.b);
                }
                found.push([size, text]);
            }
            return found.sort((one, other) => one[0] - other[0])""")
        assert len(sizes) > 5
        assert sizes[0][0] >= 9, sizes[0]
        picture(browser, f"{name}-telephone")


@pytest.mark.parametrize("width", [360, 400])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_on_a_telephone(name: str, width: int, browser: Any, folder: Path) -> None:
    """The page does not scroll sideways; what is wider has a box that scrolls."""
    with telephone(browser, width):
        opened(browser, folder / f"{name}.html")
        wide, there = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert there == width
        assert wide <= there
        cut = browser.execute_script("""
            return [...document.body.querySelectorAll("*")].filter((each) => {
                if (each.ownerSVGElement || each.closest("#told, script, style")) return false;
                if (each.getBoundingClientRect().right <= innerWidth + 1) return false;
                for (let box = each.parentElement; box; box = box.parentElement)
                    if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
                return true;
            }).map((each) => each.outerHTML.slice(0, 100))""")
        assert cut == []
        hidden = browser.execute_script("""
            return [...document.body.querySelectorAll("*")].filter((each) =>
                !each.ownerSVGElement && each.scrollWidth > each.clientWidth + 1 &&
                getComputedStyle(each).overflowX === "hidden").length""")
        assert hidden == 0


def test_panels_stand_side_by_side_or_one_below_the_other(browser: Any, report: Path) -> None:
    tops = (
        "return [...document.querySelectorAll('#memory ~ figure svg')]"
        ".map(each => each.getBoundingClientRect()).map(box => [box.left, box.top])"
    )
    opened(browser, report)
    (left, top), (right, beside) = browser.execute_script(tops)
    assert right > left and abs(beside - top) < 5
    with telephone(browser):
        opened(browser, report)
        (left, top), (right, below) = browser.execute_script(tops)
        assert right == left and below > top + 100


def test_gates_are_drawn_from_0_to_1(browser: Any, folder: Path, run: Path) -> None:
    """The rectangles that a browser shows are the gates' own values, as opacities of one colour."""
    lm = package.load(run)
    steps = unrolling.unroll(lm.engine, lm.tokenizer, "il mare")
    opened(browser, folder / "unroll.svg")
    drawn = browser.execute_script("""
        return [...document.querySelectorAll('rect[height="5"]')].map((each) => {
            const style = getComputedStyle(each);
            return [style.fill, parseFloat(style.fillOpacity)];
        })""")
    cells = drawn[16:]  # the key comes first
    names = ["h", *unrolling.GATES[lm.config.cell]]
    values = [(n, value) for step in steps for n in names for value in step.layers[0][n]]
    assert len(cells) == len(values)
    gates = {name: "" for name in names if "gate" in unrolling.NAMES[name]}
    assert len(gates) == 3
    for (colour, opacity), (name, value) in zip(cells, values, strict=True):
        if name in gates:
            assert opacity == pytest.approx(value, abs=0.006)
            gates[name] = colour
        else:
            assert opacity == pytest.approx(min(1, abs(value)), abs=0.006)
            assert colour not in gates.values()
    assert len(set(gates.values())) == 1


# ------------------------------------------------------------------------------- the other pages


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


@pytest.mark.parametrize(("experiment", "figures"), [("position-invariance", 5), ("page", 4)])
def test_the_experiments_page_is_quiet_too(browser: Any, experiment: str, figures: int) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    opened(browser, root / "docs" / experiment / "page.html")
    assert browser.get_log("browser") == []
    sent = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in sent if e["method"].endswith("WillBeSent")]
    assert [url[-9:] for url in asked if not url.startswith("data:")] == ["page.html"]
    drawn = browser.execute_script("return document.querySelectorAll('figure svg').length")
    assert drawn == figures
    picture(browser, experiment)


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
