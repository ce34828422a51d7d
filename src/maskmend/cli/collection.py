"""Python's garbage collection while a process starts.

Every 700 new objects it looks through the young ones, now and then through all. A thousand modules are
hundreds of thousands of objects, and all of them stay.
"""

import gc


def pause_collection() -> None:
    """None happens until `resume_collection`."""
    gc.disable()


def resume_collection() -> None:
    """Where it was paused, it goes on; what was made until now stays out of it, at the process's end too."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
