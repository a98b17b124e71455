# One image, five entry points: `docker build -t roost .`, then `roost ingest | enricher | scorer | api | init`.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN dev/get-onnxruntime
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin roost --features tls && cp target/release/roost /roost

# glibc and libstdc++ of bookworm: what the ONNX Runtime library needs.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/roost roost
COPY --from=build /roost /usr/local/bin/roost
COPY --from=build /src/.ort/libonnxruntime.so /usr/local/lib/libonnxruntime.so
COPY --from=build /src/enricher/model/registry /usr/share/roost/models
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so ORT_DISABLE_TELEMETRY=1 \
    ROOST__ENRICHER__REGISTRY=/usr/share/roost/models ROOST__TELEMETRY__FORMAT=json
USER roost
WORKDIR /var/lib/roost
STOPSIGNAL SIGTERM
# No shell tool is needed: the binary asks its own admin port.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=12 CMD ["roost", "health"]
ENTRYPOINT ["roost"]
