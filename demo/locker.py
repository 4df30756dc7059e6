"""A second user of the store that holds its write lock in bursts, as a badly written report job does.

python -m demo.locker STORE --hold-ms 1400 --gap-ms 250
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time


def main() -> None:
    """Hold and let go until terminated or until the parent is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--hold-ms", type=float, default=1400)
    parser.add_argument("--gap-ms", type=float, default=250)
    options = parser.parse_args()
    parent = os.getppid()
    connection = sqlite3.connect(options.store, timeout=30, isolation_level=None)
    while os.getppid() == parent:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(options.hold_ms / 1000)
        connection.execute("ROLLBACK")
        time.sleep(options.gap_ms / 1000)


if __name__ == "__main__":
    main()
