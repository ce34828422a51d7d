"""The note on a fill that stays below the picture's own resolution.

With `detail = "auto"` no finer scale begins that would take too many windows (`levels.MOST_WINDOWS`), so a
large hole of a large picture is softer than its surroundings. The note says by how much, and what the rest
would cost: as a multiple and not in seconds, so that the same fill has the same note anywhere.
"""

from collections.abc import Sequence
from dataclasses import replace

from maskmend.fill.levels import Level, cell_count, coarse_scale, plan_levels
from maskmend.fill.pace import window_cost
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.fill.windows import bounds, boxes_by_part


def with_sharpness(result: Inpainted, levels: Sequence[Level], resolution: int) -> Inpainted:
    """`result`, which was redrawn at `levels`, with a note if finer scales were left out.

    `resolution` is the side of the model's view.
    """
    windows, settings = [region.window for region in result.regions], result.settings
    every = plan_levels(result.mask, windows, resolution, "full") if windows else []
    drawn, left = cell_count(levels), cell_count(every) - cell_count(levels)
    if left <= 0:
        return result
    reached = []
    for _, boxes in boxes_by_part(windows):
        box = bounds(boxes)
        done, possible = ([level.scale for level in some if level.box == box] for some in (levels, every))
        if len(done) < len(possible):
            reached.append(min(done, default=coarse_scale(boxes, resolution)))
    each = window_cost(settings.detail_steps)
    spent = len(windows) * window_cost(settings.steps) + drawn * each
    note = (
        f"the fill has 1/{max(reached):.2g} of the picture's resolution in places: detail=full goes up to "
        f"all of it and takes about {1 + left * each / spent:.2g} times as long"
    )
    return replace(result, note=joined_notes(result.note, note))
