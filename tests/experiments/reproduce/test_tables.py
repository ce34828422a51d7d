"""Tables: which trials they ask for, which rows tie, and what they say of the defaults."""

import pytest

from maskmend.config import from_dict
from maskmend.experiments.reproduce.tables import Row, Table, grid_table, standard_tables, verdict_of
from maskmend.experiments.reproduce.trial import Trial
from maskmend.importers.coursework.published import COURSEWORK_FID
from maskmend.metrics.bootstrap import Interval
from maskmend.pretrained.folder import load_model
from maskmend.pretrained.lookup import find_model
from maskmend.settings import Settings


def interval(value: float, half: float = 0.5) -> Interval:
    value = float(value)
    return Interval(value=value, low=value - half, high=value + half)


def trial(value: float, half: float = 0.5) -> Trial:
    """A trial whose bootstrap draws lie `half` on either side of its FID, as those of the others do not."""
    other = 50 - value
    swing = half if int(value * 10) % 2 else -half
    return Trial(
        composited=interval(value, half),
        uncomposited=interval(other, half),
        tokens_alone=interval(other, half),
        lpips=interval(0.1, 0.01),
        hole_l1=0.1,
        seam_l1=0.1,
        known_error=0,
        seconds_per_image=0.1,
        draws={
            "composited": [value - swing, value + swing],
            "uncomposited": [other - swing, other + swing],
            "tokens_alone": [other - swing, other + swing],
        },
        lpips_each=[0.1, 0.1],
    )


def table_of(setting: str, values: list, by: str = "composited") -> Table:
    rows = tuple(Row(labels=(str(value),), changes={setting: value}) for value in values)
    return Table(name=setting, title=setting, columns=(setting,), rows=rows, by=by)  # type: ignore[arg-type]


def test_every_row_is_a_setting_that_exists() -> None:
    """Would catch a table that stops half-way through the night on a misspelt value."""
    defaults = Settings()
    for table in [*standard_tables(defaults), grid_table()]:
        for row in table.rows:
            assert len(row.labels) == len(table.columns)
            defaults.changed(**row.changes)


def test_the_grid_is_the_whole_product() -> None:
    grid = grid_table()
    assert grid.columns == ("schedule", "steps", "order", "choice")
    assert len({row.labels for row in grid.rows}) == len(grid.rows) == 3 * 6 * 3 * 2


def test_the_reports_figures_stand_beside_ours() -> None:
    first = standard_tables(Settings())[0]
    assert {row.labels[0]: row.published for row in first.rows if row.published} == COURSEWORK_FID
    assert COURSEWORK_FID == {"cosine": 38.02, "linear": 39.12, "square": 39.30}
    assert first.by == "tokens_alone"
    assert first.shown == ("composited", "tokens_alone")


def test_every_table_says_which_default_it_justified() -> None:
    """Would catch a default that none of a table's rows has, such as the shipped model's temperature."""
    defaults = load_model(find_model("cats64"))[2]
    shipped = from_dict(Settings, defaults, "defaults")
    for table in [*standard_tables(shipped), grid_table()]:
        if table.name == "schedule-report":
            continue
        trials = [trial(10 + number) for number in range(len(table.rows))]
        assert verdict_of(table, trials, shipped).sentence.startswith("Default"), table.name
    between = standard_tables(shipped.changed(temperature=0.6))
    temperatures = next(table for table in between if table.name == "temperature")
    assert [row.labels[0] for row in temperatures.rows] == ["0.3", "0.5", "0.6", "0.7", "0.8", "1.0", "1.2"]


def test_quick_tables_are_few() -> None:
    quick = sum(len(table.rows) for table in standard_tables(Settings(), quick=True))
    assert quick + len(grid_table(quick=True).rows) < 20


def test_the_best_row_its_ties_and_the_default() -> None:
    """Draws of 10.3 swing against those of 10.0 and 11.0, so it ties with 10.0 where 11.0 does not."""
    table = table_of("temperature", [0.5, 0.8, 0.9, 1.0])
    trials = [trial(12), trial(10.3), trial(10), trial(11)]
    verdict = verdict_of(table, trials, Settings(temperature=0.8))
    assert (verdict.best, verdict.ties) == (2, frozenset({1}))
    assert verdict.sentence.startswith("Default justified: temperature = 0.8 ties with the best, temperature")
    beaten = verdict_of(table, trials, Settings())
    assert beaten.sentence.startswith("Default not justified here: temperature = 1.0 is worse than temp")
    assert "by 1.00 [1.00, 1.00]" in beaten.sentence
    best = verdict_of(table, trials, Settings(temperature=0.9))
    assert best.sentence == "Default justified: temperature = 0.9 is best."


def test_a_table_compares_by_the_figure_it_names() -> None:
    table = table_of("temperature", [0.5, 1.0], by="uncomposited")
    assert verdict_of(table, [trial(10), trial(20)], Settings()).best == 1


@pytest.mark.parametrize(
    ("table", "default"), [(table_of("top_p", [0.5, 1.0]), 1), (table_of("sweet_spot", [4, 8]), 1)]
)
def test_no_limit_is_the_widest_row(table: Table, default: int) -> None:
    """Would catch tables that find no default where it is 'no limit'."""
    trials = [trial(20.0), trial(20.0)]
    trials[default] = trial(10.0)
    assert verdict_of(table, trials, Settings()).sentence.startswith("Default justified")


def test_the_reports_decoding_is_no_default() -> None:
    table = standard_tables(Settings())[0]
    assert verdict_of(table, [trial(n) for n in range(4)], Settings()).sentence.startswith("Best: ")
