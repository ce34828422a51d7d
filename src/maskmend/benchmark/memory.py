"""The most memory that this process has had."""

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Peak of resident memory in bytes.

    Linux is asked for VmHWM: what getrusage calls the peak is, in a process that was started by another one,
    at least the peak of that one, whose memory it shared until its program began.
    """
    try:
        lines = STATUS.read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
