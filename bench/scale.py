"""Measures what `docs/scale.md` says, and writes the figures into it.

    python bench/scale.py stages             CPU and clock seconds of a picture by stage, and what fills cost
    python bench/scale.py nodes              a run of two nodes with losses, beside its simulation
    python bench/scale.py plan               the simulation of large pools
    python bench/scale.py stages nodes plan  all of them, on an idle machine; `--dry`: print only

Figures stand between markers such as `<!-- stages -->` and `<!-- /stages -->`; everything else is left alone.
Figures of `stages` are kept in `docs/scale.json`, from which `plan` takes the seconds of a picture. Needs the
extra `ray` for `nodes`, and simpy for `nodes` and `plan`.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from maskmend.benchmark.hardware import hardware

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
KEPT = PAGE.with_suffix(".json")
DOLLARS = {"on demand": 0.04, "spot": 0.012}
"""Of a core-hour: about what clouds ask for a virtual processor of a general-purpose machine."""
NETWORKS = ("encode", "predict", "draw")
"""Stages that a GPU could take over."""
RAY_SHARE = 0.05
"""Of a core for each worker's: driver, listing and Ray's own processes. See the page."""
POOLS = (
    ("nothing goes wrong", {}),
    ("2 % of the workers three times as slow", {"slow": 0.02}),
    ("spot: 5 % an hour are lost", {"losses": 0.05}),
    ("spot: 20 % an hour are lost", {"losses": 0.2}),
    ("20 % an hour are lost, 2 % slow", {"losses": 0.2, "slow": 0.02}),
)


def stages(rounds: int, busy: bool) -> dict[str, str]:
    """The tables of stages and of costs; on a busy machine without the time on the clock."""
    from scale_stages import measured

    found = measured(rounds)
    if busy:
        found = {name: {"cpu": figures["cpu"]} for name, figures in found.items()}
    KEPT.write_text(json.dumps({"machine": hardware(), "seconds": found}, indent=1) + "\n")
    return tables(hardware(), found)


def tables(machine: str, found: dict[str, Any]) -> dict[str, str]:
    from scale_stages import STAGES

    names = list(found)
    rows = [["CPU milliseconds a picture", *names]]
    for stage, meaning in STAGES.items():
        figures = [found[name]["cpu"].get(stage, 0.0) for name in names]
        if any(figures):
            rows.append([meaning, *(number(1000 * figure) for figure in figures)])
    totals = [total(found[name]["cpu"]) for name in names]
    rows.append(["**together**", *(f"**{number(1000 * figure)}**" for figure in totals)])
    left = [total(found[name]["cpu"], without=NETWORKS) for name in names]
    rows.append(["without the three networks", *(number(1000 * figure) for figure in left)])
    clock = [found[name].get("clock") for name in names]
    told = ["not measured" if figures is None else number(1000 * total(figures)) for figures in clock]
    rows.append(["on the clock, of an idle machine", *told])
    rows.append(["pictures a second and core, by CPU time", *(f"{1 / figure:.3g}" for figure in totals)])
    rows.append(
        ["written as PNG instead", *(number(1000 * found[name]["cpu"]["write PNG"]) for name in names)]
    )
    return {"stages": f"{machine}.\n\n" + table(rows), "costs": costs(found)}


def costs(found: dict[str, Any]) -> str:
    """Core hours and dollars of a million and a billion."""
    rows = [["fills", "of what", "core hours", *(f"${price} ({kind})" for kind, price in DOLLARS.items())]]
    for count, word in ((1e6, "a million"), (1e9, "a billion")):
        for name, figures in found.items():
            hours = count * total(figures["cpu"]) * (1 + RAY_SHARE) / 3600
            rows.append(
                [word, name, number(hours), *(f"${number(hours * price)}" for price in DOLLARS.values())]
            )
    return table(rows)


def total(figures: dict[str, float], without: tuple[str, ...] = ()) -> float:
    """Seconds of a picture written as JPEG, without these stages."""
    return sum(seconds for stage, seconds in figures.items() if stage not in ("write PNG", *without))


def nodes(pictures: int, every: float) -> dict[str, str]:
    from scale_nodes import compared

    options = argparse.Namespace(pictures=pictures, chunk=4, steps=16, model="cats64", every=every, seed=0)
    found = compared(options)
    simulated = found.pop("simulated")
    rows = [["", "measured", "simulated, 200 times"]]
    rows.append(
        [
            "seconds from two ready workers to the last chunk",
            f"{found['seconds']}",
            f"{simulated['seconds']:.1f} (nine of ten: {simulated['5 %']:.1f} to {simulated['95 %']:.1f})",
        ]
    )
    rows.append(["workers killed", f"{found['workers killed']}", f"{simulated['lost']:.1f}"])
    for name in ("pictures", "chunks", "seconds of the workers on chunks", "seconds until another was ready"):
        rows.append([name, f"{found[name]}", "given"])
    return {"nodes": table(rows)}


def plan(times: int) -> dict[str, str]:
    """A million pictures of the second kind on a thousand workers."""
    from scale_simulation import Pool, cut, repeated

    kept = json.loads(KEPT.read_text())["seconds"]
    name = list(kept)[1]
    seconds = total(kept[name]["cpu"])
    pictures = np.random.default_rng(1).lognormal(-0.32, 0.8, 1_000_000) * seconds
    rows = [["a thousand workers", "pictures in a chunk", "minutes", "of the work wasted", "efficiency"]]
    for words, changes in POOLS:
        for chunk in (64, 512):
            pool = Pool(workers=1000, restart=120.0, **changes)
            found = repeated(pool, cut(pictures, chunk), times)
            rows.append(
                [
                    words,
                    f"{chunk}",
                    f"{found['seconds'] / 60:.1f}",
                    f"{100 * found['wasted']:.2f} %",
                    f"{100 * found['efficiency']:.0f} %",
                ]
            )
    return {"plan": f"A million pictures of {seconds:.3g} s on average ({name}).\n\n" + table(rows)}


def number(value: float) -> str:
    """Three digits, with commas: 12.3, 1,230."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def table(rows: list[list[str]]) -> str:
    head, *rest = rows
    line = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, line, *rest))


def written(page: str, parts: dict[str, str]) -> str:
    """The page with these parts between their markers. Raises SystemExit for a marker that is missing."""
    for name, text in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if pattern.search(page) is None:
            raise SystemExit(
                f"{PAGE.name} has no markers <!-- {name} --> and <!-- /{name} -->: put them back"
            )
        page = pattern.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["stages", "nodes", "plan"])
    parser.add_argument("--rounds", type=int, default=5, help="Of `stages`.")
    parser.add_argument(
        "--busy", action="store_true", help="Leave out of `stages` what an idle machine takes."
    )
    parser.add_argument("--pictures", type=int, default=2400, help="Of `nodes`.")
    parser.add_argument("--every", type=float, default=25.0, help="Seconds between kills, of `nodes`.")
    parser.add_argument("--times", type=int, default=5, help="Of `plan`.")
    parser.add_argument("--dry", action="store_true", help="Print the tables, change no page.")
    options = parser.parse_args()
    parts: dict[str, str] = {}
    if "stages" in options.parts:
        parts |= stages(options.rounds, options.busy)
    if "nodes" in options.parts:
        parts |= nodes(options.pictures, options.every)
    if "plan" in options.parts:
        parts |= plan(options.times)
    if options.dry:
        print("\n\n".join(parts.values()))
    else:
        PAGE.write_text(written(PAGE.read_text(), parts))


if __name__ == "__main__":
    main()
