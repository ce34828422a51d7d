"""Doors for scripts written for other libraries: their calls, translated to the pipeline's."""
