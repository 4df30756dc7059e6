"""For all tests."""

from __future__ import annotations

import signal

# A runner in the background (nohup, `&`) starts us with these ignored, and every process the tests
# start would inherit that: what is to be stopped with Ctrl-C or a hang-up would never stop.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
