"""The peak memory of this process."""

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Peak of resident memory in bytes.

    On Linux it is read from VmHWM: the peak that getrusage reports for a child process is at least that of
    its parent, whose memory the child shared until its own program began.
    """
    try:
        lines = STATUS.read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):  # not Linux
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
