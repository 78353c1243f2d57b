FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies first, with empty sources in place of ours: this layer is built anew only when
# a manifest changes. (The manifest names the benches, so they have to be there.)
COPY Cargo.toml Cargo.lock ./
COPY loom-tests/Cargo.toml loom-tests/
COPY benches benches
RUN mkdir -p src loom-tests/src \
    && echo '//! Empty.' > src/lib.rs \
    && echo '//! Empty.' > loom-tests/src/lib.rs \
    && printf '//! Empty.\nfn main() {}\n' > src/main.rs \
    && cargo build --release --locked --bin event-pipeline

# Then ours. Copied files keep their times, which may be older than the empty sources' build.
COPY . .
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin event-pipeline

FROM debian:bookworm-slim
# No pinned version: Debian keeps only the newest, and within bookworm it gets security fixes alone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 event-pipeline \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin event-pipeline \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /build/target/release/event-pipeline /usr/local/bin/event-pipeline

ENV EVENT_PIPELINE_LISTEN=0.0.0.0:8080 \
    EVENT_PIPELINE_DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/livez"]
ENTRYPOINT ["event-pipeline"]
