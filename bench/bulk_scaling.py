"""Pictures a second of one and of two workers on Ray, of one thread each.

    PYTHONPATH=src python bench/bulk_scaling.py --pictures 400

Give it a machine that does nothing else, with a processor for the driver besides those of the workers. The
time is that from the first chunk done to the last: the loading of the model does not count. Needs the extra
`ray`.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from kill_workers import draw_pictures

from maskmend.bulk.job import Filling, Job
from maskmend.bulk.ray_engine import Pool, fill_on_ray
from maskmend.bulk.sources import open_source


def rate(folder: Path, workers: int, options: argparse.Namespace) -> float:
    target = folder / f"filled-by-{workers}"
    source = open_source(folder / "photos", masks=folder / "masks", target=target)
    filling = Filling(model=options.model, settings={"steps": options.steps})
    job = Job(source=source, target=str(target), filling=filling, chunk=4).prepare(filling.load())
    first, filled = None, 0
    for report in fill_on_ray(job, Pool(least=workers, most=workers)):
        if first is None:
            first = time.perf_counter()
        else:
            filled += report.filled
    return filled / (time.perf_counter() - (first or 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--model", default="cats64")
    options = parser.parse_args()
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder, options.pictures, seed=0)
        rates = {workers: rate(folder, workers, options) for workers in (1, 2)}
    print(json.dumps({"pictures a second": rates, "gain": rates[2] / rates[1]}, indent=1))


if __name__ == "__main__":
    main()
