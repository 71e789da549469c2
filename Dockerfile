# Two images of programs alone: nothing else is in them but the certificate authorities.
#
#   make image VERSION=0.1.0                                                       the service
#   docker build -t koubeisim --target koubeisim .                                 the stand-in for Koubei, for tests
#
# Run them with a read-only root file system and without capabilities: they write nowhere but to stdout and stderr.

ARG GO_VERSION=1.26
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY cmd ./cmd
COPY internal ./internal
COPY web ./web
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o bin/server ./cmd/server
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w" -o bin/koubeisim ./cmd/koubeisim

FROM scratch AS koubeisim
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="koubeisim" \
      org.opencontainers.image.description="Stands in for Koubei and the Alipay gateway, in tests" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
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
      org.opencontainers.image.base.name="scratch"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/server /server
USER 65532:65532
# The internal listener stays on loopback unless INTERNAL_LISTEN says otherwise: never publish its port.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["/server", "healthcheck"]
ENTRYPOINT ["/server"]
CMD ["serve"]
