"""The live page in a real browser."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import Browser, browser, need_browser
from tests.helpers import SAMPLE, names, sample_events
from tests.running import Running, until
from tests.web import get, served

pytest.importorskip("starlette", reason="needs the extra: pip install 'aac-stream[web]'")
pytest.importorskip("uvicorn", reason="needs the extra: pip install 'aac-stream[web]'")

# Of every colour that is shown with words on it, the contrast by WCAG 2.
CONTRASTS = """
const luminance = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const numbers = (css) => css.match(/[\\d.]+/g).map(Number);
const under = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = numbers(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
};
const found = [];
for (const e of document.querySelectorAll("body *")) {
  const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!words || !e.getClientRects().length || e.closest(".unseen, .skip, :disabled")) continue;
  const [a, b] = [luminance(numbers(getComputedStyle(e).color)), luminance(under(e))];
  found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName, e.textContent.trim()]);
}
return found;
"""


@pytest.fixture(scope="module")
def run(long: Path) -> Iterator[tuple[Running, int]]:
    """The sample, as it plays, in two rooms."""
    need_browser()
    with served("--device", f"kitchen={SAMPLE}", "--device", f"den={long}") as served_run:
        yield served_run


@pytest.fixture(scope="module")
def page(run: tuple[Running, int]) -> Iterator[Browser]:
    """The page, once there are captions: each test may be the first of a worker."""
    with browser() as one:
        one.look(1280, 900)
        one.driver.get(url(run[1]))
        until(lambda: one.text("#link .word") == "live", "the stream")
        until(lambda: len(one.texts("#events .words")) >= 5, "captions")
        yield one


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def test_captions_appear_and_marks_are_at_the_right_second(
    page: Browser,
) -> None:
    events = page.run(
        "return [...document.querySelectorAll('[data-device=kitchen] .mark')]"
        ".map(m => [m.textContent, Number(m.dataset.startS)])"
    )
    known = sample_events()
    for text, start_s in events[:2]:
        sound = next(s for s in known if names(text, s.label))
        assert start_s == pytest.approx(sound.start_s, abs=1.6), (text, start_s, sound)
    placed = """
        const lane = document.querySelector('[data-device=kitchen]');
        const at = (e) => e.getBoundingClientRect();
        const span = 60, perS = at(lane.querySelector('.picture')).width / span;
        const [one, two] = lane.querySelectorAll('.mark');
        return (at(two).left - at(one).left) / perS - (two.dataset.startS - one.dataset.startS);
    """
    assert abs(page.run(placed)) < 0.2
    assert set(page.texts(".lane h3")) == {"kitchensample.ogg", "denlong.flac"}
    assert all(word in ("caption", "listening", "quiet") for word in page.texts(".state .word"))
    assert re.fullmatch(r"[\d.]+ % of a core", page.text("#cpu"))
    assert page.errors() == []


def test_the_picture_moves_and_with_reduced_motion_in_steps(
    page: Browser, run: tuple[Running, int]
) -> None:
    count = """
        const done = arguments[0], mark = document.querySelector('.ticks span');
        const seen = new Set(), until = performance.now() + 1500;
        (function look() {
          seen.add(mark.style.transform);
          if (performance.now() < until) requestAnimationFrame(look); else done(seen.size);
        })();
    """
    del run
    assert page.driver.execute_async_script(count) > 4
    page.look(1280, 900, calm=True)
    assert page.driver.execute_async_script(count) <= 3
    page.look(1280, 900)


def test_history_survives_a_reload_and_can_be_searched(
    page: Browser, run: tuple[Running, int]
) -> None:
    before = page.texts("#events .words")
    page.driver.refresh()
    until(lambda: len(page.texts("#events .words")) >= len(before), "the history")
    assert set(before) <= set(page.texts("#events .words"))
    page.press("/")
    page.press("rooster kitchen")
    until(lambda: page.text("#count").startswith("1 of"), "what is found")
    assert page.texts("#events .words") == ["kitchen: a rooster crows"]
    page.press("\ue00c")  # Escape
    until(lambda: page.text("#count").endswith(" events"), "all again")
    page.run("document.getElementById('device').value = 'den'")
    page.run("document.getElementById('device').dispatchEvent(new Event('change'))")
    until(lambda: page.texts(".lane h3") == ["denlong.flac"], "one lane")
    link = page.run("return document.getElementById('save-srt').href")
    assert get(run[1], link.partition(str(run[1]))[2]).text.startswith("1\n")
    page.run("document.getElementById('device').value = ''")
    page.run("document.getElementById('device').dispatchEvent(new Event('change'))")


def test_a_second_viewer_sees_the_same(page: Browser, run: tuple[Running, int]) -> None:
    with browser() as other:
        other.look(390, 844, dark=True)
        other.driver.get(url(run[1]))
        until(lambda: len(other.texts("#events .words")) >= 5, "captions there")
        until(lambda: other.texts("#events .words") == page.texts("#events .words"), "the same")
        check_readable(other)
        assert other.run("return document.documentElement.scrollWidth") <= 390
        assert other.errors() == []


def check_readable(page: Browser) -> None:
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 20
    assert min(contrasts)[0] >= 4.5, min(contrasts)


def test_light_is_readable_and_what_is_chosen_is_kept(
    page: Browser, run: tuple[Running, int]
) -> None:
    check_readable(page)
    size = page.run("return getComputedStyle(document.body).fontSize")
    page.press("+")
    page.press("t")
    page.press("t")
    page.driver.refresh()
    until(lambda: page.text("#link .word") == "live", "the stream")
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    larger = page.run("return getComputedStyle(document.body).fontSize")
    assert float(larger[:-2]) > float(size[:-2])
    page.run("localStorage.clear()")
    del run


def test_what_a_screen_reader_is_told(page: Browser, run: tuple[Running, int]) -> None:
    page.driver.get(url(run[1]))
    said = page.run("return document.getElementById('said').getAttribute('aria-live')")
    assert said == "polite"
    nameless = page.run(
        "return [...document.querySelectorAll('button, input, select, a')]"
        ".filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
    )
    assert nameless == 0
    until(lambda: bool(page.run("return document.getElementById('said').textContent")), "a caption")
    shown = page.texts("#events .words")
    told = page.run("return document.getElementById('said').textContent")
    assert any(text in told for text in shown)


def test_it_comes_back_when_the_server_does(page: Browser, long: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{free.getsockname()[1]}"
    with served("--device", str(long), where=where) as (run, port):
        page.driver.get(url(port))
        until(lambda: bool(page.texts("#events .words")), "a caption")
        before = page.texts("#events .words")
        run.end()
        assert run.process.returncode == 0, run.err
    until(lambda: "connection lost" in page.text("#link"), "that it is gone")
    with served("--device", str(long), where=where):
        until(lambda: page.text("#link .word") == "live", "that it is back")
        until(lambda: len(page.texts("#events .words")) > len(before), "old captions and new")


def test_only_the_link_lets_in(page: Browser, long: Path, tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path), "STATE_DIRECTORY": ""}
    with served("--device", str(long), where="0.0.0.0:0", env=env) as (_, port):
        page.driver.get(url(port) + "?token=wrong")
        assert "open the link with the token" in page.driver.page_source
        token = (tmp_path / "aac-stream" / "token").read_text().strip()
        page.driver.get(url(port) + f"?token={token}")
        until(lambda: page.text("#link .word") == "live", "the stream")
        assert page.driver.current_url == url(port)  # the token is not left to be read
        page.driver.get(url(port))  # with the cookie alone
        until(lambda: page.text("#link .word") == "live", "the stream")
        assert page.run("return document.cookie") == ""


@pytest.fixture
def other_page(tmp_path: Path) -> Iterator[str]:
    """The address of a page of another origin, with no policy that would hold it back."""
    (tmp_path / "index.html").write_text("<!doctype html><title>another</title>")
    handler = partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments


def test_another_page_cannot_read_it(
    page: Browser, run: tuple[Running, int], other_page: str
) -> None:
    read = """
        const done = arguments[1];
        fetch(arguments[0]).then((a) => a.text()).then((t) => done(t), () => done("refused"));
    """
    listen = """
        const done = arguments[1], source = new EventSource(arguments[0]);
        source.onopen = () => done("open");
        source.onerror = () => { source.close(); done("refused"); };
    """
    for own, says in ((True, "ok"), (False, "refused")):
        page.driver.get(url(run[1]) if own else other_page)
        assert says in page.driver.execute_async_script(read, url(run[1]) + "health")
        opened = page.driver.execute_async_script(listen, url(run[1]) + "captions")
        assert opened == ("open" if own else "refused")


@pytest.mark.skipif(
    not os.environ.get("SCREENSHOTS"), reason="SCREENSHOTS=FOLDER makes those of the README"
)
def test_screenshots(page: Browser) -> None:
    import base64

    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    with served("--device", f"porch={SAMPLE}") as (_, port):
        page.look(1280, 800)
        page.driver.get(url(port))
        until(lambda: "a dog barks" in page.text("#now .open"), "the dog")
        until(lambda: len(page.texts("#events .words")) >= 7, "some more")

        def shoot(name: str) -> None:
            shot = page.command("Page.captureScreenshot", format="webp", quality=80)
            (folder / name).write_bytes(base64.b64decode(shot["data"]))

        shoot("light.webp")
        page.look(390, 844, dark=True, ratio=2)
        until(lambda: "a baby cries" in page.text("#now .open"), "the baby")
        shoot("phone.webp")
