"""The entry point `maskmend`: the command line with a faster start and exit.

A fill of a small picture takes 0.1 s, and starting and ending the process used to take fifteen times as long.
A third of that was garbage collection while modules are loaded, and freeing them one by one at the end.
`inpaint` skips both, and loads PyTorch's largest library on another core while it imports the rest.
"""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from maskmend.cli.collection import pause_collection
from maskmend.cli.deferred import defer_imports, import_meanwhile, load_library_ahead

QUICK = "inpaint"
"""The command that is often run for one picture; the others take longer in any case."""


def program() -> NoReturn:
    """Runs the command line and ends the process."""
    quick = sys.argv[1:2] == [QUICK]
    if quick:
        pause_collection()  # until the model is loaded
        fills = not {"-h", "--help"} & set(sys.argv)
        if fills:
            load_library_ahead()
        defer_imports()
        if fills:
            import_meanwhile()
    from maskmend.cli.group import main  # after the library began to load

    try:
        main(prog_name="maskmend")
    except SystemExit as end:
        if quick and (end.code is None or isinstance(end.code, int)):
            leave(end.code or 0)
        raise
    raise SystemExit  # click ends a process itself


def leave(status: int) -> None:
    """Ends the process as Python would, but without freeing its modules; returns where it cannot.

    Files are closed and buffers written. A standard stream that cannot be written is left to Python, which
    reports it and sets the exit status.
    """
    others = [thread for thread in threading.enumerate() if not thread.daemon]
    if others != [threading.main_thread()]:
        return
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        atexit._run_exitfuncs()  # temporary files, logs, measurements of coverage
        os._exit(status)
