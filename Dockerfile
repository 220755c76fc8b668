# The image of every process of notifier; docker-compose.yml says which runs what.
# Built with the same command as a developer's environment, from the same locked requirements.
FROM python:3.13.18-slim-trixie AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile pyproject.toml README.md LICENSE ./
COPY scripts scripts
COPY requirements requirements
COPY config config
COPY templates templates
COPY workers workers
COPY notifier notifier
RUN make install-server VENV=/opt/notifier PYTHON=/usr/local/bin/python3
# The file system is read-only later: compile now. Some packages carry files for other Pythons.
RUN /opt/notifier/bin/python -m compileall -q /opt/notifier/lib || true

FROM python:3.13.18-slim-trixie
RUN groupadd --gid 10001 notifier \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin notifier \
    && install --directory --owner=10001 --group=10001 /run/notifier /run/catcher /var/lib/flower
COPY --from=build /opt/notifier /opt/notifier
WORKDIR /app
COPY config config
COPY templates templates
ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NOTIFIER_HEALTH_DIR=/run/notifier
USER 10001:10001
CMD ["notifier", "--help"]
