# syntax=docker/dockerfile:1
# The worker and every `tocsin` command, with the locked production dependencies only.

FROM python:3.12.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/tocsin
# Dependencies first: they change less often than the code.
COPY requirements/base.lock requirements/
RUN /opt/tocsin/bin/pip install --require-hashes -r requirements/base.lock
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY detectors detectors
COPY correlator correlator
COPY sinks sinks
COPY config config
COPY embedded embedded
COPY console console
COPY cli cli
COPY demo demo
RUN /opt/tocsin/bin/pip install --no-deps . \
    # Compiled here once, beside the code, where any user can read it.
    && /opt/tocsin/bin/python -c "from detectors import explore; from streams.decode import formats; explore.warm(); formats.warm()"

FROM python:3.12.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin tocsin \
    && install -d -o tocsin -g tocsin /var/cache/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
# Compiled kernels are kept between starts; the package itself is read-only for the user.
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/tocsin \
    TOCSIN_HEALTH_PORT=8390
USER 10001
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['TOCSIN_HEALTH_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["tocsin"]
CMD ["worker"]
