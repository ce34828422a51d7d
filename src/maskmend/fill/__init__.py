"""From a picture with a hole to its fill: windows, crops, levels, compositing, results."""
