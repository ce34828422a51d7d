"""Pauses Python's garbage collection during startup.

Python runs a collection after every 700 new objects. Importing a thousand modules makes hundreds of thousands
of objects, none of which can be freed, so these collections only take time.
"""

import gc


def pause_collection() -> None:
    """Disables collection until `resume_collection`."""
    gc.disable()


def resume_collection() -> None:
    """Enables collection again if it was paused. Objects made until now are never examined (`gc.freeze`)."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
