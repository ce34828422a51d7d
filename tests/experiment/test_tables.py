"""Tables: which trials they ask for, which rows tie, and what they say of the defaults."""

import pytest

from maskmend.experiment.tables import REPORT_FID, Row, Table, judge, the_grid, the_tables, tied
from maskmend.experiment.trial import Trial
from maskmend.metrics.bootstrap import Interval
from maskmend.settings import Settings


def interval(value: float, half: float = 0.5) -> Interval:
    value = float(value)
    return Interval(value=value, low=value - half, high=value + half)


def trial(value: float, half: float = 0.5) -> Trial:
    return Trial(
        composited=interval(value, half),
        uncomposited=interval(50 - value, half),
        lpips=interval(0.1, 0.01),
        hole_l1=0.1,
        seam_l1=0.1,
        known_error=0,
        seconds_per_image=0.1,
    )


def table_of(setting: str, values: list, by: str = "composited") -> Table:
    rows = tuple(Row(labels=(str(value),), changes={setting: value}) for value in values)
    return Table(name=setting, title=setting, columns=(setting,), rows=rows, by=by)  # type: ignore[arg-type]


def test_every_row_is_a_setting_that_exists() -> None:
    """Would catch a table that stops half-way through the night on a misspelt value."""
    defaults = Settings()
    for table in [*the_tables(defaults), the_grid()]:
        for row in table.rows:
            assert len(row.labels) == len(table.columns)
            defaults.changed(**row.changes)


def test_the_grid_is_the_whole_product() -> None:
    grid = the_grid()
    assert grid.columns == ("schedule", "steps", "order", "choice")
    assert len({row.labels for row in grid.rows}) == len(grid.rows) == 3 * 6 * 3 * 2


def test_the_reports_figures_stand_beside_ours() -> None:
    first = the_tables(Settings())[0]
    assert {row.labels[0]: row.published for row in first.rows if row.published} == REPORT_FID
    assert REPORT_FID == {"cosine": 38.02, "linear": 39.12, "square": 39.30}
    assert first.by == "uncomposited"


def test_quick_tables_are_few() -> None:
    quick = sum(len(table.rows) for table in the_tables(Settings(), quick=True))
    assert quick + len(the_grid(quick=True).rows) < 20


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [((10, 0.5), (10.4, 0.5), True), ((10, 0.5), (10.6, 0.5), False), ((10, 0.1), (10.6, 0.7), True)],
)
def test_ties(a: tuple, b: tuple, same: bool) -> None:
    assert tied(interval(*a), interval(*b)) is same
    assert tied(interval(*b), interval(*a)) is same


def test_the_best_row_and_its_ties() -> None:
    table = table_of("temperature", [0.5, 0.8, 0.9, 1.0])
    verdict = judge(table, [trial(12), trial(10.3), trial(10), trial(11)], Settings(temperature=0.8))
    assert (verdict.best, verdict.ties) == (2, frozenset({1}))
    assert verdict.sentence == "Best: 0.9; default: 0.8; a tie: the default stands."
    beaten = judge(table, [trial(12), trial(10.3), trial(10), trial(11)], Settings())
    assert beaten.sentence == "Best: 0.9; default: 1.0; the default is 1.00 worse."
    best = judge(table, [trial(12), trial(10.3), trial(10), trial(11)], Settings(temperature=0.9))
    assert best.sentence == "The default, 0.9, is best."


def test_a_table_compares_by_the_figure_it_names() -> None:
    table = table_of("temperature", [0.5, 1.0], by="uncomposited")
    assert judge(table, [trial(10), trial(20)], Settings()).best == 1


@pytest.mark.parametrize(
    ("table", "default"), [(table_of("top_p", [0.5, 1.0]), 1), (table_of("sweet_spot", [4, 8]), 1)]
)
def test_no_limit_is_the_widest_row(table: Table, default: int) -> None:
    """Would catch tables that find no default where it is 'no limit'."""
    trials = [trial(20.0), trial(20.0)]
    trials[default] = trial(10.0)
    assert judge(table, trials, Settings()).sentence.startswith("The default")


def test_the_reports_decoding_is_no_default() -> None:
    table = the_tables(Settings())[0]
    assert judge(table, [trial(n) for n in range(4)], Settings()).sentence.startswith("Best: ")
