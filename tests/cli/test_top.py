"""`tocsin top`: figures from two scrapes, and how they look."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.errors import CliError
from cli.main import app
from cli.topview import Picture, amount, bar, seconds
from embedded.probe import free_port
from streams.agents.watching import Frame, Scrape, Worker, frame, metrics_url, parse, quantile

BUILD = 'tocsin_build_info{python="3",version="1.2.3"} 1\n'


def exposition(records: float, dead: float = 0.0, lag: int = 0, ready: int = 1, cpu: float = 1.0) -> str:
    """What a worker with one stage answers."""
    return f"""{BUILD}
tocsin_ready {ready}
tocsin_assigned_partitions{{stage="ingest"}} 2
tocsin_records_total{{stage="ingest"}} {records}
tocsin_rows_total{{kind="samples",stage="ingest"}} {2 * records}
tocsin_lag_records{{partition="0",stage="ingest",topic="in"}} {lag}
tocsin_lag_records{{partition="1",stage="ingest",topic="in"}} 0
tocsin_watermark_delay_seconds{{partition="0",stage="ingest",topic="in"}} 5.5
tocsin_checkpoint_age_seconds{{partition="0",stage="ingest",topic="in"}} 2.5
tocsin_record_to_effect_seconds_bucket{{le="0.1",stage="ingest"}} {records / 2}
tocsin_record_to_effect_seconds_bucket{{le="1.0",stage="ingest"}} {records}
tocsin_record_to_effect_seconds_bucket{{le="+Inf",stage="ingest"}} {records}
tocsin_dead_letters_total{{reason="undecodable",stage="ingest"}} {dead}
process_cpu_seconds_total {cpu}
process_resident_memory_bytes 2.5e8
"""


def worker(before: str, now: str, url: str = "http://w:1/metrics", seconds: float = 2.0) -> Worker:
    return Worker(url, Scrape(10.0 + seconds, parse(now)), Scrape(10.0, parse(before)))


def drawn(picture: Frame, width: int = 110) -> str:
    console = Console(width=width, height=40, no_color=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Picture(picture, live=False))
    return console.export_text()


def test_rates_are_differences_by_time() -> None:
    """Summed over the workers."""
    pair = [
        worker(exposition(100), exposition(300)),
        worker(exposition(0), exposition(20), "http://w:2/metrics"),
    ]
    (row,) = frame(pair).stages
    assert (row.records, row.rows, row.partitions) == (110.0, 220.0, 4)


def test_a_worker_started_anew_has_no_negative_rate() -> None:
    """Its counters begin at zero again."""
    (row,) = frame([worker(exposition(1_000), exposition(40))]).stages
    assert row.records == 20.0


def test_latencies_are_of_the_time_between_two_looks() -> None:
    """Half of the records within 0.1 s, all within 1 s."""
    (row,) = frame([worker(exposition(100), exposition(300))]).stages
    assert row.p50_s == pytest.approx(0.1)
    assert row.p99_s == pytest.approx(0.1 + 0.9 * 0.98)


@pytest.mark.parametrize(
    ("buckets", "q", "found"),
    [
        ({}, 0.5, None),
        ({1.0: 0.0, float("inf"): 0.0}, 0.5, None),
        ({1.0: 10.0, float("inf"): 10.0}, 0.5, 0.5),
        ({1.0: 0.0, float("inf"): 10.0}, 0.5, 1.0),
    ],
)
def test_quantiles_of_buckets(buckets: dict[float, float], q: float, found: float | None) -> None:
    """Nothing observed is no figure; beyond the last bound it is that bound."""
    assert quantile(buckets, q) == found


def test_the_picture_shows_lag_trouble_and_the_worker() -> None:
    """The largest lag first, rates beside totals."""
    text = drawn(frame([worker(exposition(100), exposition(300, dead=8, lag=5_000, cpu=2.0))]))
    assert "w:1  ready  CPU 50 %  250 MB  tocsin 1.2.3" in text
    assert "ingest in/0     5k █" in text
    assert "1 partition without lag" in text
    assert "dead letters  ingest     undecodable" in text.replace("  ingest    ", "  ingest     ")
    assert "4/s" in text


@pytest.mark.parametrize("width", [40, 64, 80, 110, 200])
def test_the_picture_fits_any_width(width: int) -> None:
    """No line is longer than the terminal."""
    text = drawn(frame([worker(exposition(100), exposition(300, dead=8, lag=5_000))]), width)
    assert max(map(len, text.splitlines())) <= width
    assert "ingest" in text


def test_a_worker_that_is_not_ready_says_why() -> None:
    """And one that does not answer stays in the picture."""
    sick = worker(exposition(1), exposition(1, ready=0))
    reasoned = Worker(sick.url, sick.now, sick.before, reasons=("sink: its target is away",))
    text = drawn(frame([reasoned, Worker("http://w:2/metrics", error="Connection refused")]))
    assert "w:1  not ready" in text
    assert "sink: its target is away" in text
    assert "w:2  no answer: Connection refused" in text


@pytest.mark.parametrize(
    ("given", "text"),
    [(None, "–"), (0.0, "0"), (0.44, "0.4"), (87.4, "87"), (1_234.0, "1.23k"), (3.4e6, "3.4M")],
)
def test_amounts_are_short(given: float | None, text: str) -> None:
    """A dash where there is no figure, never a zero."""
    assert amount(given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [(None, "–"), (0.0, "0 s"), (0.007, "7 ms"), (1.24, "1.2 s"), (240, "4 min"), (9e4, "25 h")],
)
def test_durations_are_short(given: float | None, text: str) -> None:
    """In the unit people say."""
    assert seconds(given) == text


def test_bars_grow_with_the_digits_of_the_lag() -> None:
    """One record shows, a million fills it, more does not overflow."""
    assert bar(0, 20) == ""
    assert 0 < len(bar(1, 20)) < len(bar(1_000, 20)) < len(bar(1_000_000, 20)) == len(bar(10**12, 20)) == 20


@pytest.mark.parametrize(
    "given", ["h:1", "http://h:1", "http://h:1/", "http://h:1/healthz", "http://h:1/metrics"]
)
def test_any_address_of_a_worker_will_do(given: str) -> None:
    """People paste what they have."""
    assert metrics_url(given) == "http://h:1/metrics"


def test_something_else_that_listens_is_not_taken_for_a_worker() -> None:
    """Its answer lacks our build information."""
    with pytest.raises(ValueError, match="tocsin_build_info is missing"):
        parse("other_metric 1\n")


@pytest.fixture
def server() -> Iterator[str]:
    """A worker's endpoint, as far as `top` looks."""
    answers = iter(range(100, 100_000, 100))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition(next(answers), lag=7).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=made.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


def test_once_prints_one_picture_without_colours_into_a_pipe(server: str) -> None:
    """For scripts, tickets and tests."""
    result = CliRunner().invoke(app, ["top", "--url", server, "--once", "--interval", "0.2"])
    assert result.exit_code == 0, result.output
    assert "ingest" in result.output
    assert "7 " in result.output
    assert "\x1b[" not in result.output


def test_without_a_worker_the_command_says_what_to_do() -> None:
    """One line, exit code 2."""
    result = CliRunner().invoke(app, ["top", "--once", "--url", f"127.0.0.1:{free_port()}"])
    assert isinstance(result.exception, CliError)
    assert "no worker answers at http://127.0.0.1" in result.exception.message
    assert "tocsin worker" in result.exception.next_step
