# One image for the three services; the command says which one a container is: `docker run IMAGE stats_service`.
# Another base, or the same one from a registry of your own: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.13-slim

# ---- everything that is locked, which includes the build back end -----------------------------------------------
FROM ${PYTHON_IMAGE} AS locked
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The image's own pip installs into the environment, which therefore needs none.
RUN python -m venv --without-pip /opt/venv
COPY requirements/runtime.txt /tmp/runtime.txt
# Only wheels: there is no compiler here, and a package without a wheel should fail at once and say so.
RUN python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: -r /tmp/runtime.txt

# ---- the project, in a tree of its own --------------------------------------------------------------------------
FROM locked AS project
WORKDIR /source
COPY . .
RUN python -m pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --prefix=/project .

# ---- the dependencies, less what only `make run` and the build use ------------------------------------------------
FROM locked AS dependencies
# `pip check` stops the build when one of these is needed after all.
RUN python -m pip --python /opt/venv/bin/python uninstall --quiet --yes \
        hatchling pathspec pluggy supervisor tomlkit trove-classifiers \
    && python -m pip --python /opt/venv/bin/python check

# ---- what runs --------------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="exact-fibonacci" \
      org.opencontainers.image.description="Exact Fibonacci numbers over HTTP and gRPC: a gateway, a cached calculator and an account of every answer." \
      org.opencontainers.image.licenses="MIT"
# A container is reached from outside itself, hence 0.0.0.0. PYTHONSAFEPATH: only what is installed can be imported.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    STATS_LISTEN_HOST=0.0.0.0 \
    STATS_METRICS_HOST=0.0.0.0 \
    STATS_DATABASE_URL=sqlite:////data/stats.sqlite3 \
    FIBONACCI_LISTEN_HOST=0.0.0.0 \
    FIBONACCI_METRICS_HOST=0.0.0.0 \
    GATEWAY_LISTEN_HOST=0.0.0.0
# The one place that is written to. A new named volume takes over this owner.
RUN install --directory --owner=10001 --group=10001 --mode=0750 /data
# A layer each, so that a change of the code moves a few megabytes and not the hundred of the dependencies.
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=project /project /opt/venv
# pip has compiled what it installed. Official Python images ship the standard library without bytecode, and a
# read-only container could never write it: importing the services once compiles just what they use.
RUN python -c "import api_gateway.__main__, fibonacci_service.__main__, stats_service.__main__, service_kit.probe, \
        service_kit.trace_export, stats_service.backup, stats_service.store_postgresql, alembic.command"
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 3002 5001 5002 9101 9102
# The service is process 1 and handles SIGTERM itself.
ENTRYPOINT ["python", "-m"]
CMD ["api_gateway"]
