"""The guard: a tiny process that ends a whole process group when its parent is gone.

The supervisor starts it first, as the leader of a new process group, and starts every child inside
that group. The guard reads a pipe whose only other end is held by the supervisor. Whatever ends the
supervisor (return, crash, ``kill -9``), the kernel closes that end, the guard sees end-of-file and
signals the group. Nothing has to be registered, so there is no moment in which a child is unknown.

Why not ``PR_SET_PDEATHSIG`` alone: it is Linux only, and it fires when the *thread* that forked ends,
not the process, so a child started from a worker thread would die with that thread.

Runs as a script with the standard library only (``python -I -S guard.py GRACE_SECONDS``).
"""

import os
import signal
import sys
import time


def main(grace_s: float) -> None:
    """Wait for end-of-file on standard input, then SIGTERM and, after ``grace_s``, SIGKILL the group."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    group = os.getpgrp()
    if group != os.getpid():  # started by hand in somebody else's group: leave that group alone
        return
    os.killpg(group, signal.SIGTERM)
    time.sleep(grace_s)
    os.killpg(group, signal.SIGKILL)  # the guard is a member, so this ends it too


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
