"""The page: nothing is asked of anywhere, nothing breaks out of its place, marks show in both forms."""

from html.parser import HTMLParser

from maskmend.experiments.reproduce.page import Drawing, Section, Shown, Tile, html_page, markdown

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
SECTIONS = [
    Section(
        title="FID <by> schedule",
        text=["a & b"],
        verdict="Default justified: <b> is best.",
        tiles=[Tile(what="known error", value="0", note="<levels>", held=True), Tile(what="x", value="1")],
        tables=[
            Shown(
                header=["schedule", "FID"],
                rows=[["cosine", "38.02"], ["a|b", "39.12"], ["<i>", "41"]],
                marks=["best", "tie", ""],
            )
        ],
        drawings=[Drawing(file="grid.png", png=PNG, caption='the "grid"')],
    )
]


class Reader(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> list[tuple[str, dict]]:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader.seen


def test_the_page_is_sound_and_asks_nothing_of_anywhere() -> None:
    """Would catch text that opens tags, and pictures, styles or scripts from elsewhere."""
    seen = read(html_page("A <title>", ["a lead"], SECTIONS))
    places = [value for _, attrs in seen for name, value in attrs.items() if name in ("src", "href")]
    assert places
    assert all(place.startswith(("data:", "#")) for place in places)
    assert not {"script", "i", "by", "b", "levels"} & {tag for tag, _ in seen}
    assert next(attrs for tag, attrs in seen if tag == "img")["alt"] == 'the "grid"'


def test_the_best_row_and_ties_are_marked() -> None:
    rows = [attrs.get("class") for tag, attrs in read(html_page("t", [], SECTIONS)) if tag == "tr"]
    assert rows == [None, "best", "tie", None]
    text = markdown("t", [], SECTIONS)
    assert "| known error | 0 <levels> | held |" in text
    assert "**Default justified: <b> is best.**" in text
    assert "| **cosine** | **38.02** |" in text
    assert "| a\\|b (tie) | 39.12 |" in text
    assert '![the "grid"](grid.png)' in text
    assert "| --- | ---: |" in text


def test_an_interval_is_set_apart_and_a_mark_is_a_word_too() -> None:
    """Would catch marks that are colours alone, and figures broken by their intervals."""
    shown = Shown(header=["what", "FID"], rows=[["ours", "9.20 [8.49, 9.89]"]], marks=["tie"])
    page = html_page("t", [], [Section(title="s", tables=[shown])])
    assert '9.20 <span class="ci">[8.49, 9.89]</span>' in page
    assert '<span class="tag tie">tie</span></td>' in page


def test_many_sections_have_contents_that_lead_to_them() -> None:
    sections = [Section(title=f"part {n}") for n in range(3)]
    seen = read(html_page("t", [], sections, "the end"))
    ids = {attrs.get("id") for tag, attrs in seen if tag == "h2"}
    links = [attrs["href"] for tag, attrs in seen if tag == "a"]
    assert len(links) == 3
    assert {link.removeprefix("#") for link in links} == ids
    assert [tag for tag, _ in seen][-1] == "footer"
