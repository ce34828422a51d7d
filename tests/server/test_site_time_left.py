"""The time left that the site's worker tells with each step: that of the server's rule."""

import pytest

from browser_parts import files_served
from maskmend.export.web import SITE
from maskmend.fill.pace import WindowPace

STEPS, PARTS, FINER = 4, 3, 6
TOLD = [
    (0.5, 1, 1), (1.25, 1, 2), (2.0, 1, 3), (2.5, 1, 4), (4.0, 2, 1), (4.5, 2, 2), (6.0, 3, 1), (6.5, 3, 2),
    (7.5, 3, 3), (9.0, 3, 4),
]  # fmt: skip
"""Seconds, window, step: those of the second window are settled before its last step."""
LAST = {(1, 4), (2, 2), (3, 4)}

PACE = """async ([steps, told]) => {
  const { Pace } = await import("./browser/pace.js");
  let now = 100000;
  const pace = new Pace(steps, () => now);
  return told.map(([seconds, ...step]) => {
    now = 100000 + 1000 * seconds;
    return pace.left(Object.fromEntries(step));
  });
}"""


def test_the_time_left_in_the_browser_is_the_servers(browser):
    """Catches another rule: a settled window that does not count, steps of one window for all of them, or
    finer scales left out."""
    now = 100.0
    pace = WindowPace(STEPS, lambda: now)
    wanted = []
    given = []
    for seconds, part, step in TOLD:
        now, last = 100 + seconds, (part, step) in LAST
        pace.update(window=part, concurrent=(part,), windows=PARTS, step=step, last=last, finer=FINER)
        wanted.append(pace.left)
        pairs = [["part", part], ["parts", PARTS], ["step", step], ["last", last], ["finer", FINER]]
        given.append([seconds, *pairs])
    page = browser.new_page()
    with files_served(SITE) as url:
        page.goto(f"{url}manifest.webmanifest")
        found = page.evaluate(PACE, [STEPS, given])
    page.close()
    assert found == pytest.approx(wanted)
    assert found[-1] == pytest.approx(12.6)  # six at 0.7 times the 3 s of each before
