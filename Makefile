# make demo is for newcomers, make test runs the tests. CI runs make lint, make test and make fuzz.

GO ?= go
FUZZTIME ?= 10s

.PHONY: demo build test test-short tools lint fuzz proxies screenshots interop faults chaos mutants bench load soak licences image release

# Ctrl-C ends it with success: set -m gives the terminal to the demo alone. make, and go run, would take an interrupt for a failure.
demo: ## everything in one process; prints the address to open
	@$(GO) build -o bin/ ./cmd/demo
	@bash -c 'test ! -t 0 || set -m; bin/demo; exit $$?'

build: ## the programs, into bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

TESTFLAGS ?=
# The tests wait half of their time, for timeouts and failovers, so a processor takes more of them at once than go test would.
# chaos runs alone: its users count what takes too long. Only make lint runs go vet.
PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
AT_ONCE = -vet=off -p=$$(($(PROCESSORS) + 1)) -parallel=$$(($(PROCESSORS) * $(1))) -timeout=20m
# The tests of these packages start the programs, or run commands that work in one goroutine. The race detector would make
# them slower and find nothing that it does not find in the other packages. They are built as the programs are released, so
# that an empty build cache has to compile the standard library and the modules only once for both.
PLAIN := ./chaos ./clients ./cmd/server ./deploy ./e2e ./internal/testworld/chromium ./interop ./soak
RACED = $$($(GO) list ./... | grep -vxF "$$($(GO) list $(PLAIN))")
# To inline functions would be a third of the work of the compiler. Only the cryptography of the standard library needs it.
RACE := -race -gcflags=all=-l -gcflags=std=
AS_RELEASED := CGO_ENABLED=0 GOFLAGS="$$($(GO) env GOFLAGS) -trimpath"

# Everything is compiled before the first test: tests wait, and meanwhile take places that the compiler needs.
test: tools ## all tests, under the race detector unless they test programs from outside
	$(GO) list -test -export $(RACE) $(RACED) >/dev/null
	$(GO) test $(RACE) -count=1 $(call AT_ONCE,4) $(TESTFLAGS) $(RACED)
	$(AS_RELEASED) $(GO) list -test -export $(PLAIN) >/dev/null
	$(AS_RELEASED) $(GO) test -count=1 $(call AT_ONCE,2) $(TESTFLAGS) $(filter-out ./chaos,$(PLAIN))
	$(AS_RELEASED) $(GO) test -vet=off -count=1 -timeout=20m $(TESTFLAGS) ./chaos
	$(AS_RELEASED) $(GO) -C bench test -vet=off -count=1 .

test-short: ## all tests, without the race detector, as far as they are not cached
	$(GO) test ./...

tools: ## installs what the tests need, on Debian; elsewhere says what is missing
	scripts/install-test-tools

lint: ## gofmt, go vet, staticcheck, errorlint, unparam, two rules of revive, on every module
	scripts/lint

fuzz: ## every fuzz target, FUZZTIME each
	scripts/fuzz $(FUZZTIME)

proxies: tools ## the matrix of proxies with Traefik, which is built first (four minutes); checks Envoy's configuration
	scripts/check-envoy deploy/envoy/envoy.yaml
	traefik=$$(scripts/build-traefik) && $(GO) test -count=1 -run 'TestProxyMatrix|TestMatrixInDocs' ./deploy -traefik=$$traefik

screenshots: tools ## renews docs/screenshots
	$(GO) test -count=1 -run '^TestScreenshots$$' ./e2e -screenshots=$(CURDIR)/docs/screenshots

interop: tools ## the official Node SDK as a client of koubeisim
	$(GO) test -count=1 ./interop

CELLS ?=

faults: tools ## every fault at every Redis command of every operation; CELLS="agree/first landing" takes a part
	$(GO) test -count=1 -timeout=60m -v ./faults -faults.all -faults.lanes=12 -faults.only='$(CELLS)'

LANDINGS ?= 2000
SEED ?= 0

chaos: tools ## three replicas, a Redis and a gateway that fail; SEED repeats a run
	$(GO) test -count=1 -timeout=20m -v ./chaos -chaos.landings=$(LANDINGS) -chaos.seed=$(SEED)

COUNT ?= 40

mutants: tools ## small faults that no test notices, in a sample of COUNT per package; about an hour; SEED selects the sample
	$(GO) run ./scripts/mutants -seed=$(SEED) -count=$(COUNT) internal/landing internal/session internal/store internal/alipay internal/handler internal/app

BENCH = $(GO) -C bench test -count=1 -v -timeout 60m . -oauth2-proxy=build

bench: tools ## each path beside its limit and oauth2-proxy, in one run of about five minutes; prints tables
	$(GO) test -run '^$$' -bench ExchangeOverSignVerify -benchtime 100x ./internal/alipay
	$(BENCH) -rounds=3 -duration=1s

load: tools ## the same for about fifteen minutes; renews the tables and charts of docs/performance.md
	$(BENCH) -rounds=7 -duration=2s -page=$(CURDIR)/docs/performance.md

soak: tools ## ten minutes at half of the measured capacity; memory per session
	$(GO) test ./soak -count=1 -v -timeout 30m -run 'TestSoak|TestFigures' -soak.duration=10m -soak.redis-timeout=500ms -soak.sessions=100000

licences: ## of every module, from the module cache; fails on one that it doesn't know
	$(GO) mod verify
	scripts/licences --all

VERSION ?= dev
# A source archive without git is of an unknown commit.
REVISION ?= $(shell r=$$(git rev-parse HEAD 2>/dev/null) || { echo unknown; exit; }; git diff --quiet HEAD -- || r=$$r-modified; echo $$r)
# Where the source is published, for the images' label; none if empty.
SOURCE ?=

image: ## the container image; needs a container engine
	docker build -t koubei-landing --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		$(if $(SOURCE),--label org.opencontainers.image.source=$(SOURCE)) .

# The date of the images is that of the commit, so that everybody who builds the commit gets the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

release: ## programs, SBOMs, images and checksums, into dist/; needs no container engine
	$(GO) run -C scripts/release . -version=$(VERSION) -revision=$(REVISION) -date=$(SOURCE_DATE_EPOCH) -url=$(SOURCE)
	cd dist && sha256sum -c --quiet SHA256SUMS && ls -l
