"""ComfyUI's progress bar and its Cancel, where ComfyUI is there; nothing where these nodes are called
without it."""

from maskmend.fill.events import FillEvents
from maskmend.fill.levels import LevelProgress
from maskmend.fill.preview import Preview

try:
    from comfy.model_management import get_torch_device, throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar
except ImportError:
    ProgressBar = None


def device_for(choice: str) -> str:
    """The device of `choice`; "auto" is the one that ComfyUI computes on, the CPU where there is no
    ComfyUI."""
    if choice != "auto":
        return choice
    return "cpu" if ProgressBar is None else str(get_torch_device())


def fill_events(steps: int) -> FillEvents:
    """Callbacks of a fill of this many decoding steps: they move the bar, and end the fill once Cancel was
    pressed."""
    if ProgressBar is None:
        return FillEvents()
    bar = ProgressBar(steps)

    def on_preview(preview: Preview) -> None:
        throw_exception_if_processing_interrupted()
        windows = max(preview.windows.values())
        bar.update_absolute((preview.window - 1) * steps + preview.step.index, windows * steps)

    def on_level(progress: LevelProgress) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(progress.windows, progress.total)

    return FillEvents(on_preview=on_preview, on_level=on_level)
