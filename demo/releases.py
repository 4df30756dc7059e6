"""What version of each service runs, and the one that should not have been released."""

from __future__ import annotations

GOOD_PAYMENT = "2.0.3"
BAD_PAYMENT = "2.1.0"
RELEASES = {
    "gateway": "3.4.0",
    "catalogue": "1.12.1",
    "cart": "1.4.2",
    "checkout": "2.7.5",
    "payment": GOOD_PAYMENT,
    "inventory": "4.0.1",
}
