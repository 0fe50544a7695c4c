# The images of convserve: docker build --target server . (or server-gpu, export, client). Compose builds them by itself.
#
# Each target is a virtual environment, /opt/venv, on a base that has Python and neither pip nor a compiler. Dependencies
# come first and code last, so that a change of code renews the smallest layer only. All that comes from a package index
# is checked against the hashes in requirements/; what each image holds is listed in /opt/venv/share/sbom.cdx.json.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS base
# Debian's Python gets Debian's security updates: no version is pinned on purpose.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
 # The user is a number of its own, so that runAsNonRoot and the owners of volumes work without knowing names.
 && groupadd --gid 10001 convserve \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin convserve \
 # A new volume that is mounted here takes over this owner.
 && install -d -o 10001 -g 10001 /artifacts
ENV PATH=/opt/venv/bin:$PATH LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM base AS builder
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# Our own code, laid out to be copied over a virtual environment. The two secrets are for package indexes behind a proxy
# of one's own; where they are not given, pip does what it always does.
FROM builder AS code
COPY requirements/build.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    python3 -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY proto proto
COPY server server
COPY export export
COPY client client
RUN pip --python /opt/venv/bin/python install --quiet --no-compile --no-cache-dir --no-index --no-deps \
      --no-build-isolation --prefix /code . \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /code

# Dependencies: the base ones are the client's; the other stages add to them.
FROM builder AS client-dependencies
COPY requirements/client.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    python3 -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes \
      -r requirements/client.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv

FROM client-dependencies AS server-dependencies
COPY requirements/server-cpu.txt requirements/metrics.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes \
      -r requirements/server-cpu.txt -r requirements/metrics.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv

FROM client-dependencies AS server-gpu-dependencies
COPY requirements/server.txt requirements/cuda.txt requirements/metrics.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes \
      -r requirements/server.txt -r requirements/cuda.txt -r requirements/metrics.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv

FROM server-dependencies AS export-dependencies
# PyTorch's own CPU index, for the build on PyPI brings gigabytes of CUDA libraries. Empty takes pip's configured index.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY requirements/export.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    sed -n '/^torch==/,/[^\\]$/p' requirements/export.txt >torch.txt \
 && pip --python /opt/venv/bin/python install --quiet --no-compile --no-deps --require-hashes \
      ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r torch.txt \
 && pip --python /opt/venv/bin/python install --quiet --no-compile --require-hashes -r requirements/export.txt \
 # Some files of torch's own tests are for newer Pythons.
 && python3 -m compileall -q -j 0 -x /torch/testing/_internal/ --invalidation-mode unchecked-hash /opt/venv

# What each image holds, as its own environment tells it.
FROM builder AS lister
COPY pyproject.toml THIRD_PARTY_LICENSES.md ./
COPY requirements requirements
COPY tools/supply tools/supply

FROM lister AS client-list
COPY --from=client-dependencies /opt/venv /opt/venv
RUN /opt/venv/bin/python -m tools.supply.sbom --installed image-client >/sbom.cdx.json

FROM lister AS server-list
COPY --from=server-dependencies /opt/venv /opt/venv
RUN /opt/venv/bin/python -m tools.supply.sbom --installed image-server >/sbom.cdx.json

FROM lister AS server-gpu-list
COPY --from=server-gpu-dependencies /opt/venv /opt/venv
RUN /opt/venv/bin/python -m tools.supply.sbom --installed image-server-gpu >/sbom.cdx.json

FROM lister AS export-list
COPY --from=export-dependencies /opt/venv /opt/venv
RUN /opt/venv/bin/python -m tools.supply.sbom --installed image-export >/sbom.cdx.json

FROM base AS client
COPY --from=client-dependencies /opt/venv /opt/venv
COPY --from=client-list /sbom.cdx.json /opt/venv/share/
COPY --from=code /code /opt/venv
WORKDIR /pictures
USER 10001:10001
ENTRYPOINT ["convserve"]
CMD ["--help"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve client" \
      org.opencontainers.image.description="Calls a convserve server: classify, convolve, infer, health" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS export
COPY --from=export-dependencies /opt/venv /opt/venv
COPY --from=export-list /sbom.cdx.json /opt/venv/share/
COPY --from=code /code /opt/venv
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["convserve-export", "--out", "/artifacts"]
CMD ["--skip-if-present"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve export" \
      org.opencontainers.image.description="Exports a PyTorch network to verified artifacts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# What both servers share.
FROM base AS server-base
ENV CONVSERVE_REPOSITORY=/artifacts CONVSERVE_LISTEN=0.0.0.0:8001
EXPOSE 8001
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["convserve-server"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["convserve", "health"]

FROM server-base AS server-gpu
# The first two are for NVIDIA's container runtime, which hands in the driver; CUDA is in the virtual environment.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility CONVSERVE_PROVIDER=cuda
COPY --from=server-gpu-dependencies /opt/venv /opt/venv
COPY --from=server-gpu-list /sbom.cdx.json /opt/venv/share/
COPY --from=code /code /opt/venv
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve server for NVIDIA GPUs" \
      org.opencontainers.image.description="Serves exported networks over gRPC on CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Last, so that docker build without a target makes this one.
FROM server-base AS server
COPY --from=server-dependencies /opt/venv /opt/venv
COPY --from=server-list /sbom.cdx.json /opt/venv/share/
COPY --from=code /code /opt/venv
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="convserve server" \
      org.opencontainers.image.description="Serves exported networks over gRPC on CPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
