# docker build -t queueing .
# docker run -p 8888:8888 -v queueing:/var/lib/queueing queueing
#
# Python's image may be another: --build-arg BASE=python:3.12-slim-bookworm
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# A certificate bundle that pip trusts, where a proxy needs one: --build-arg PIP_CERT=/path/in/the/base
ARG PIP_CERT
WORKDIR /src
RUN python3 -m venv /opt/queueing
COPY requirements.lock ./
RUN /opt/queueing/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY queueing queueing
RUN /opt/queueing/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
        --no-deps --no-build-isolation . \
    && /opt/queueing/bin/python3 -m compileall -q /opt/queueing \
    && /opt/queueing/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="queueing" \
      org.opencontainers.image.description="A REST message queue over SQLite, Redis or MongoDB" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that Kubernetes sees that it is not root.
RUN groupadd --system --gid 10001 queueing \
    && useradd --system --uid 10001 --gid queueing --home-dir /var/lib/queueing --no-create-home queueing \
    && install --directory --owner queueing --group queueing /var/lib/queueing
COPY --from=build /opt/queueing /opt/queueing
ENV PATH=/opt/queueing/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    QUEUEING_BIND=0.0.0.0:8888 \
    QUEUEING_STORAGE=sqlite:////var/lib/queueing/queueing.db
USER 10001:10001
WORKDIR /var/lib/queueing
VOLUME /var/lib/queueing
EXPOSE 8888
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["queueing", "ping", "--ready"]
ENTRYPOINT ["queueing"]
CMD ["serve"]
