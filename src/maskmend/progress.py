"""The types of the callbacks that are told how far something is."""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Called with how much is done and how much there is in all."""
StageProgress = Callable[[str, int, int], object]
"""The same with the name of the stage in front."""
