"""The simulation of large pools and the page it is written into."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text()


@pytest.fixture(autouse=True)
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


@pytest.fixture
def simulation(bench):
    pytest.importorskip("simpy", reason="simpy is not installed")
    import scale_simulation

    return scale_simulation


def test_without_losses_it_is_arithmetic(simulation):
    """Catches time that is lost or won where nothing happens by chance."""
    rng = np.random.default_rng(0)
    pool = simulation.Pool(workers=4, noting=0.0)
    even = simulation.simulate(pool, [2.0] * 20, rng)
    assert (even.seconds, even.useful, even.lost) == (10.0, 40.0, 0)
    assert even.efficiency(pool) == 1.0
    one_more = simulation.simulate(pool, [2.0] * 21, rng)
    assert one_more.seconds == 12.0
    slow = simulation.simulate(simulation.Pool(workers=1, slow=1.0, factor=3.0, noting=0.0), [2.0], rng)
    assert (slow.seconds, slow.useful) == (6.0, 2.0)


def test_a_driver_that_cannot_keep_up_sets_the_pace(simulation):
    """Catches a driver that costs nothing however many workers there are."""
    pool = simulation.Pool(workers=50, noting=1.0)
    outcome = simulation.simulate(pool, [0.1] * 100, np.random.default_rng(0))
    assert outcome.seconds == pytest.approx(100.1)


def test_losses_cost_what_was_begun_and_the_wait_for_another(simulation):
    """Catches chunks that vanish with their worker, or are done twice."""
    pool = simulation.Pool(workers=10, losses=60.0, restart=5.0, noting=0.0)
    chunks = [10.0] * 200
    outcome = simulation.simulate(pool, chunks, np.random.default_rng(3))
    assert outcome.useful == sum(chunks)
    assert outcome.lost > 10
    there = pool.workers * outcome.seconds
    assert sum(chunks) + outcome.wasted < there
    # They worked, waited to be replaced, or were done before the last one.
    assert sum(chunks) + outcome.wasted + 5.0 * outcome.lost == pytest.approx(there, rel=0.1)


def test_the_page_has_the_markers_of_its_figures(bench):
    """Catches a page into which the figures cannot be written any more, or only elsewhere."""
    import scale

    page = scale.written(PAGE, {"stages": "AAA", "costs": "BBB", "nodes": "CCC", "plan": "DDD"})
    for word in ("AAA", "BBB", "CCC", "DDD"):
        assert page.count(f"\n\n{word}\n\n<!-- /") == 1
    assert scale.written(page, {"stages": "AAA"}) == page
    with pytest.raises(SystemExit, match="nowhere"):
        scale.written(PAGE, {"nowhere": ""})


def test_numbers_have_three_digits(bench):
    """Catches costs that look more exact than they are, or are written as powers of ten."""
    import scale

    assert [scale.number(value) for value in (0.01234, 12.345, 1234.5, 2_345_678.0)] == [
        "0.0123",
        "12.3",
        "1,230",
        "2,350,000",
    ]
