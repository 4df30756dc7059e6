"""What each golden log record says, exactly."""

from __future__ import annotations

import pytest

from tests.decode.logs.support import Row, golden

TRACE = "5b8efff798038103d269b633813fc60c"
KUBERNETES = {"host": "node-1", "namespace": "shop"}
NOV_2 = 1_793_645_903_000
"""2026-11-02T18:58:23Z"""
DECLINED = "payment declined order=1 amount=12.1 gateway timeout after 3000ms"

EXPECTED: dict[str, list[Row]] = {
    "fluent-bit/kubernetes.json": [
        Row("checkout", "checkout-5cbb6d585d-cr4rd", KUBERNETES, 1_724_318_400_123, 17,
            "2024-08-22 09:20:00,123 ERROR payment declined order=1", "", ""),
    ],
    "fluent-bit/tail.json": [
        Row("unknown", "", {}, 1_724_318_400_123, 0, "payment declined order=1", "", ""),
    ],
    "fluent-bit/array.json": [
        Row("ddm-akka", "ddm-akka", {"host": "pi-master", "namespace": "default"}, 1_730_547_081_923, 0,
            "hello", "", ""),
        Row("ddm-akka", "ddm-akka", {"host": "pi-master", "namespace": "default"}, 1_730_547_081_930, 13,
            "queue is long", TRACE, ""),
    ],
    "fluent-bit/systemd.json": [
        Row("sshd", "vm-1", {"host": "vm-1"}, 1_724_318_400_123, 17, "fatal: no route", "", ""),
    ],
    "fluent-bit-msgpack/kafka.bin": [
        Row("checkout", "checkout-5cbb6d585d-cr4rd", KUBERNETES, 1_724_318_400_123, 17,
            "2024-08-22 09:20:00,123 ERROR payment declined order=1", "", ""),
    ],
    "fluent-bit-msgpack/event.bin": [
        Row("vm-1", "vm-1", {"host": "vm-1"}, 1_724_318_400_123, 17, "payment declined", "", ""),
    ],
    "fluent-bit-msgpack/forward.bin": [
        Row("unknown", "", {}, 1_724_318_400_123, 0, "one", "", ""),
        Row("unknown", "", {}, 1_724_318_401_000, 0, "two", "", ""),
    ],
    "filebeat/nginx.json": [
        Row("nginx-01.example.com", "nginx-01.example.com", {"host": "nginx-01.example.com"},
            1_700_491_076_612, 0,
            '192.0.2.1 - - [20/Nov/2023:17:37:47 +0300] "GET /wp-admin/install.php HTTP/1.1" 200 7542',
            "", ""),
    ],
    "filebeat/kubernetes.json": [
        Row("cart", "cart-0",
            {"cluster": "blue", "env": "prod", "host": "node-1", "namespace": "shop", "region": "eu-1",
             "version": "1.4", "zone": "eu-1a"},
            1_700_491_076_612, 17, "order 1 failed", TRACE, "java.io.IOException"),
    ],
    "filebeat/ecs_logger.json": [
        Row("api", "", {}, 1_679_047_547_074, 17, "500 Server Error for HTTP GET", TRACE,
            "java.net.ConnectException"),
    ],
    "filebeat/logstash.json": [
        Row("unknown", "", {}, 1_705_478_947_276, 13, "Boom", "", "java.lang.RuntimeException"),
    ],
    "gelf/spec.json": [
        Row("example.org", "example.org", {"host": "example.org"}, 1_385_053_862_307, 19,
            "A short message that helps you identify what is going on\nBacktrace here\n\nmore stuff", "", ""),
    ],
    "gelf/docker.json": [
        Row("checkout", "c0ffee", {"host": "node-3"}, 1_724_318_400_123, 17, "payment declined", "", ""),
    ],
    "rsyslog-json/error.json": [
        Row("checkout", "vm", {"host": "vm"}, 1_795_373_903_327, 17, DECLINED, "", ""),
    ],
    "syslog/rfc5424.txt": [
        Row("checkout", "vm", {"host": "vm"}, 1_795_373_903_327, 17, DECLINED, "", ""),
    ],
    "syslog/structured.txt": [
        Row("evntslog", "mymachine.example.com", {"host": "mymachine.example.com"}, 1_065_910_455_003, 10,
            "An application event log entry…", TRACE, ""),
    ],
    "syslog-file/rsyslog.txt": [
        Row("checkout", "vm", {"host": "vm"}, 1_795_373_903_327, 0, DECLINED, "", ""),
    ],
    "syslog-file/traditional.txt": [
        Row("sshd", "vm", {"host": "vm"}, NOV_2, 17,
            "error: maximum authentication attempts exceeded for root", "", ""),
        Row("systemd", "vm", {"host": "vm"}, NOV_2 + 1_000, 0, "Started Session 12 of user root.", "", ""),
    ],
    "syslog/bsd.txt": [
        Row("su", "mymachine", {"host": "mymachine"}, 1_791_756_855_000, 18,
            "'su root' failed for lonvick on /dev/pts/8", "", ""),
    ],
    "lines/app.log": [
        Row("unknown", "", {}, 1_795_373_903_123, 9, "2026-11-22 18:58:23,123 INFO [main] started", "", ""),
        Row("unknown", "", {}, 1_795_370_304_500, 17,
            "2026-11-22T18:58:24.5+01:00 ERROR [main] payment declined\n"
            "java.io.IOException: gateway gone\n\tat Gateway.java:12\n"
            "Caused by: java.net.SocketTimeoutException: timed out\n\t... 3 more", "", ""),
        Row("unknown", "", {}, 1_795_373_910_000, 13, 'level=warn msg="queue is long" depth=12', "", ""),
    ],
}  # fmt: skip

REFERENCE = {
    "syslog-file/traditional.txt": NOV_2 + 2_000,
    "syslog/bsd.txt": 1_791_756_855_000,
    "lines/app.log": 1_795_373_910_000,
}
"""reference time of those whose lines do not say all of theirs"""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_record_gives_exactly_these_rows(name: str) -> None:
    """Service, instance, context, time, severity, body, trace and exception."""
    assert golden(name, REFERENCE.get(name, -1)) == EXPECTED[name]
