"""The page in a real browser: no error, no request, no sideways scrolling, on a laptop and on a phone."""

import pytest
import samples

from stepsize.engines.landscape.descend import descend
from stepsize.policies import constant
from stepsize.problems.landscapes import Booth
from stepsize.report import write_report
from stepsize.rules import SGD
from stepsize.strategy import Strategy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.flaky(reruns=1, only_rerun="TargetClosedError"),  # a browser that died or hung says nothing of the page
]

TALL = """[...document.querySelectorAll('.card')].every(
    card => [...card.querySelectorAll('svg, canvas')].some(drawn => drawn.getBoundingClientRect().height > 100))"""
"""Whether every picture is seen, as one or the other."""

UNFOLD = "document.querySelectorAll('details').forEach(each => each.open = true)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_offline_and_fits(browser, file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    view = context.new_page()
    errors, requests = [], []
    view.on("console", lambda message: errors.append(message.text))
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.on("request", lambda request: requests.append(request.url))
    view.goto(file.as_uri())
    assert errors == []
    assert requests == [file.as_uri()]
    assert view.title().startswith("AdamW one_cycle 0.01")
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view.evaluate(UNFOLD)
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert view.evaluate(TALL)
    assert view.locator("h1").bounding_box()["y"] < 150
    context.close()


def test_a_link_opens_the_part_that_it_leads_to(browser, file):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(file.as_uri())
    table = view.get_by_role("region", name="Every run in order")
    assert not table.is_visible()
    view.get_by_role("link", name="All 14 runs").click()
    assert table.is_visible()
    context.close()


@pytest.mark.parametrize("sample", [samples.small_advice, samples.unlearned_advice])
def test_every_kind_of_advice_fits_a_phone(browser, tmp_path, sample):
    view = browser.new_page(viewport={"width": 390, "height": 900})
    view.goto(write_report(tmp_path / "page.html", sample()).as_uri())
    view.evaluate(UNFOLD)
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    boxes = "[...document.querySelectorAll('.gallery .card, pre')]"
    assert view.evaluate(f"{boxes}.every(each => each.scrollWidth <= each.clientWidth)")
    view.close()


def test_pictures_made_of_pixels_are_shown(browser, tmp_path):
    """The page's own policy must let its own images in: a refusal is said on the console and nowhere else."""
    found = descend(Booth(), [Strategy(SGD(), constant(0.05))], starts=9, steps=9)
    view = browser.new_page()
    errors = []
    view.on("console", lambda message: errors.append(message.text))
    view.goto(write_report(tmp_path / "descent.html", found).as_uri())
    assert view.locator("image").count() >= 2
    assert errors == []
    view.close()


def test_the_standings_fit_a_laptop_and_scroll_by_themselves_on_a_phone(browser, file):
    for width, scrolls in ((1280, False), (390, True)):
        view = browser.new_page(viewport={"width": width, "height": 900})
        view.goto(file.as_uri())
        view.evaluate(UNFOLD)
        found = view.evaluate(
            "(() => { const t = document.querySelectorAll('.scroll')[1]; return t.scrollWidth > t.clientWidth })()"
        )
        assert found is scrolls
        view.close()


def test_text_and_paper_have_contrast_in_both_schemes(browser, file):
    """The contrast of WCAG AA, 4.5, for the page's two inks on its two papers."""
    script = """() => {
        const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 };
        const light = rgb => { const [r, g, b] = rgb.match(/\\d+/g).map(Number).map(channel);
                               return 0.2126 * r + 0.7152 * g + 0.0722 * b };
        const style = e => getComputedStyle(document.querySelector(e));
        const inks = [style('body').color, style('figcaption').color, style('summary').color];
        const papers = [style('body').backgroundColor, style('header').backgroundColor];
        return inks.flatMap(i => papers.map(p => {
            const [a, b] = [light(i), light(p)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) }));
    }"""
    for scheme in ("light", "dark"):
        view = browser.new_page(color_scheme=scheme)
        view.goto(file.as_uri())
        assert min(view.evaluate(script)) >= 4.5
        view.close()
