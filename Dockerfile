FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies first, with empty sources in place of ours: this layer is built anew only when
# a manifest changes. What the manifest names beyond library and program is left out of it here.
COPY Cargo.toml Cargo.lock ./
COPY loom-tests/Cargo.toml loom-tests/
COPY benches/instructions/Cargo.toml benches/instructions/
RUN sed -i '/^\[\[\(test\|bench\)\]\]$/,/^$/d' Cargo.toml \
    && mkdir -p src loom-tests/src benches/instructions/src \
    && echo '//! Empty.' | tee src/lib.rs > loom-tests/src/lib.rs \
    && printf '//! Empty.\nfn main() {}\n' | tee src/main.rs > benches/instructions/src/main.rs \
    && cargo build --release --locked --bin event-pipeline

# Then ours. Copied files keep their times, which may be older than the empty sources' build.
COPY . .
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin event-pipeline

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="event-pipeline" \
    org.opencontainers.image.description="Takes events over HTTP at a very high rate and puts every one of them into MySQL, exactly once." \
    org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 event-pipeline \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin event-pipeline \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /build/target/release/event-pipeline /usr/local/bin/event-pipeline

ENV EVENT_PIPELINE_LISTEN=0.0.0.0:8080 \
    EVENT_PIPELINE_DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["event-pipeline", "healthcheck"]
ENTRYPOINT ["event-pipeline"]
