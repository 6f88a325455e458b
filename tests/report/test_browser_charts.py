"""The charts in a real browser: they answer to pointer and keyboard, and give way to the picture on paper."""

from pathlib import Path

import pytest
import samples

pytestmark = [
    pytest.mark.browser,
    pytest.mark.flaky(reruns=1, only_rerun="TargetClosedError"),  # a browser that died or hung says nothing of the page
]

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
UNFOLD = "document.querySelectorAll('details').forEach(each => each.open = true)"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def view(browser, file):
    """The page at rest and unfolded, in a laptop's window; whatever goes wrong on it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    view = context.new_page()
    wrong = []
    view.on("console", lambda message: wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("request", lambda request: wrong.append(request.url))
    view.goto(file.as_uri())
    assert wrong.pop(0) == file.as_uri()
    view.evaluate(UNFOLD)
    yield view
    assert wrong == []
    context.close()


def chart(view, title):
    return view.locator("section", has=view.get_by_role("heading", name=title, exact=True)).locator(".live")


def cells(card):
    return card.locator(".legend td").all_inner_texts()


def hover(view, card, across, down=0.5):
    card.scroll_into_view_if_needed()
    box = card.locator(".u-over").bounding_box()
    view.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_hovering_fills_the_legend_with_the_values_of_that_step(view):
    card = chart(view, "Learning curves")
    assert set(cells(card)) == {"–"}  # noqa: RUF001
    hover(view, card, 0.999)
    assert card.locator("thead th").first.inner_text() == "step 400"
    found, final = cells(card), samples.curves().scores[-1].reshape(6, 5).mean(axis=1)
    assert [float(text) for text in found[1:10:2]] == pytest.approx(final[:5], rel=1e-3)
    hover(view, card, 0.0)
    assert float(cells(card)[0]) == pytest.approx(2.3, rel=0.1)
    assert cells(card)[1] == "–"  # noqa: RUF001


def test_a_click_hides_a_line_and_the_axis_follows(view):
    card = chart(view, "Finalists")
    worst = card.get_by_role("button", name="5. RMSProp cosine 0.001")
    before = card.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    worst.click()
    assert worst.get_attribute("aria-pressed") == "false"
    assert card.locator("canvas").evaluate("canvas => canvas.toDataURL()") != before
    worst.click()
    assert worst.get_attribute("aria-pressed") == "true"
    assert card.locator("canvas").evaluate("canvas => canvas.toDataURL()") == before


@pytest.mark.parametrize("title", ["Finalists", "Learning curves"])
def test_the_axis_is_switched_between_linear_and_logarithmic(view, title):
    card = chart(view, title)
    button = card.get_by_role("button", name="Logarithmic")
    first = button.get_attribute("aria-pressed")
    before = card.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    button.click()
    assert button.get_attribute("aria-pressed") != first
    assert card.locator("canvas").evaluate("canvas => canvas.toDataURL()") != before
    button.click()
    assert card.locator("canvas").evaluate("canvas => canvas.toDataURL()") == before


def test_arrow_keys_move_the_cursor_and_enter_hides_a_line(view):
    card = chart(view, "Learning curves")
    card.locator(".chart").focus()
    head = card.locator("thead th").first
    view.keyboard.press("ArrowRight")
    first = head.inner_text()
    assert first.startswith("step ")
    assert sum(text != "\N{EN DASH}" for text in cells(card)) == 6  # training losses, and no score as yet
    view.keyboard.press("ArrowRight")
    assert head.inner_text() != first
    view.keyboard.press("ArrowLeft")
    assert head.inner_text() == first
    button = card.locator(".legend button").first
    button.focus()
    view.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"


def test_a_chart_that_was_folded_gets_its_width_when_it_is_opened(browser, file):
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(file.as_uri())
    view.get_by_text("Finalists", exact=True).last.click()
    card = chart(view, "Finalists")
    card.locator(".uplot").wait_for()
    view.wait_for_function("document.querySelector('.uplot').getBoundingClientRect().width > 800")
    assert card.locator(".u-over").bounding_box()["width"] < 800  # the names of the rows have their room
    view.close()


def test_the_picture_can_be_seen_instead(view):
    card = chart(view, "Finalists")
    assert not card.locator("> svg").is_visible()
    card.get_by_role("button", name="As printed").click()
    assert card.locator("> svg").is_visible()
    assert not card.locator("canvas").is_visible()


def test_a_chart_follows_the_width_of_the_window(view):
    card = chart(view, "Learning curves")
    wide = card.locator(".uplot").bounding_box()["width"]
    view.set_viewport_size({"width": 500, "height": 900})
    view.wait_for_function("document.querySelector('.uplot').getBoundingClientRect().width < 500")
    assert card.locator(".uplot").bounding_box()["width"] < 500 < wide
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_script_the_pictures_are_seen(browser, file):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(file.as_uri())
    for part in view.locator("section > details > summary").all():
        part.click()
    assert all(picture.is_visible() for picture in view.locator("figure svg").all())
    assert view.locator("canvas, .legend").count() == 0
    context.close()


def test_on_paper_there_are_the_pictures_and_all_tables(view):
    """Chromium tags what it prints, so a table in the PDF can be counted; what is folded is printed too."""
    tables = view.locator(".scroll table").count()
    view.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")
    view.emulate_media(media="print")
    assert all(picture.is_visible() for picture in view.locator("figure svg").all())
    assert not any(part.is_visible() for part in view.locator("canvas, .legend, .bar").all())
    printed = view.pdf(format="A4", tagged=True)
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/S /Table") == tables == 4


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_wrong(browser, file, width, scheme):
    """Deque's axe-core: names, roles, headings, tables, contrast, of WCAG 2.2 AA and its best practice."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    view = context.new_page()
    view.goto(file.as_uri())
    view.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    view.add_script_tag(path=AXE)
    found = view.evaluate("tags => axe.run({ runOnly: tags })", TAGS)
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
    context.close()
