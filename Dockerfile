# Two images. Each contains one program and, for the service, the certificate authorities.
#
#   make image VERSION=0.1.0                            the service
#   docker build -t koubeisim --target koubeisim .      the simulator of Koubei and the gateway, for tests
#
# In mainland China, name a module proxy and a mirror of the base image:
#
#   docker build --build-arg GOPROXY=https://goproxy.cn,direct --build-arg BASE=<your mirror>/library/golang .
#
# Run the images with a read-only root file system and without capabilities: they write only to stdout and stderr.

ARG GO_VERSION=1.26
ARG BASE=golang
FROM --platform=$BUILDPLATFORM ${BASE}:${GO_VERSION}-bookworm AS build
ARG GOPROXY
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY cmd ./cmd
COPY internal ./internal
COPY koubeisim ./koubeisim
COPY web ./web
ARG VERSION=dev
ARG REVISION=unknown
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X koubei-landing/internal/buildinfo.revision=$REVISION" -o bin/server ./cmd/server
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X koubei-landing/internal/buildinfo.revision=$REVISION" -o bin/koubeisim ./cmd/koubeisim

FROM scratch AS koubeisim
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="koubeisim" \
      org.opencontainers.image.description="Simulates Koubei and the Alipay gateway, for tests" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="scratch"
COPY --from=build /src/bin/koubeisim /koubeisim
USER 65532:65532
EXPOSE 8900
ENTRYPOINT ["/koubeisim"]
CMD ["--listen", "0.0.0.0:8900"]

FROM scratch AS server
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="koubei-landing" \
      org.opencontainers.image.description="Exchanges Koubei's authorization codes for sessions" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="scratch"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/server /server
USER 65532:65532
# INTERNAL_LISTEN is loopback by default. Publish its port to the proxy alone, never to browsers.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["/server", "healthcheck"]
ENTRYPOINT ["/server"]
CMD ["serve"]
