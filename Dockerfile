FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY regsync regsync
# pip stays behind: it installs into a virtual environment that has none of its own.
RUN python -m venv --without-pip /opt/regsync \
 && pip --python /opt/regsync/bin/python install --no-cache-dir --compile -c constraints.txt .

FROM python:3.11-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="regsync" \
      org.opencontainers.image.description="Declarative mirroring of container images across registries" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"
COPY --from=build /opt/regsync /opt/regsync
ENV PATH="/opt/regsync/bin:${PATH}" \
    HOME=/var/lib/regsync \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The ledger and, unless the spec says otherwise, built-in stores: mount a volume here.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/regsync
USER 10001:10001
WORKDIR /var/lib/regsync
ENTRYPOINT ["regsync"]
CMD ["--help"]
