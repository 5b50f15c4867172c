# gnatsd: build, test and measure. `make help` lists the targets.

GO          ?= go
COMMIT      := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS     := -X gnatsd/server.gitCommit=$(COMMIT)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 1m
FUZZ        ?= Fuzz
BENCHARGS   ?=
BROWSERARGS ?=
FAULTARGS   ?=
DURATION    ?= 1h
RELEASEARGS ?=

# The race detector needs cgo, and that a C compiler.
ifeq ($(shell $(GO) env CGO_ENABLED),1)
RACE        := -race
else
NORACE      := @echo "make test: no C compiler, so no race detector (Debian: apt-get install gcc libc6-dev)"$(if $(CI),; exit 1)
endif

.PHONY: help build test check fmt vet staticcheck cross bench growth profile clients browser kubernetes faults fuzz mutate simulate soak storm torture vuln windows release release-test

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile

build: ## the gnatsd binary, stamped with the git commit
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o gnatsd .

# atexit_sleep_ms: with the race detector, every process that a test starts would sleep for a second when it ends.
test: ## all tests with the race detector; then without it those that need real speed, and the long ones in full
	$(NORACE)
	GORACE=atexit_sleep_ms=0 $(GO) test $(RACE) -timeout 20m ./...
	$(GO) test -count=1 -run '^Test(Speed|MeshSimulation|ServerSimulation|Transcripts)' ./...

check: fmt vet staticcheck cross test ## everything that must hold before a commit, with a minute of make soak
	$(MAKE) soak DURATION=1m

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

cross: ## compile for every platform the broker supports
	@for p in windows/amd64 darwin/arm64 freebsd/amd64 linux/arm64 linux/386; do \
		echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) vet . ./server/... ./conf ./logger ./sublist ./util/... || exit 1; \
	done

bench: build ## compare with other brokers: make bench BENCHARGS='-peer /usr/sbin/nats-server'
	$(GO) run ./test/bench -broker ./gnatsd $(BENCHARGS)

growth: build ## the curves of test/bench/growth.svg: make growth BENCHARGS='-peer /usr/sbin/nats-server'
	$(GO) run ./test/bench -broker ./gnatsd -growth test/bench/growth.svg $(BENCHARGS)

profile: build ## profiles of the broker in a scenario, and their tops: make profile SCENARIO=1-1/128
	$(GO) run ./test/bench -broker ./gnatsd -run '^$(SCENARIO)$$' -scale 10 -profile .profiles

clients: build ## today's clients in JavaScript, C and the NATS CLI: installs them, runs them
	$(GO) run ./test/clients -broker ./gnatsd

browser: ## the dashboard in a headless Chromium: make browser BROWSERARGS='-shots /tmp'
	cd test/browser && $(GO) vet ./... && $(GO) test -count=1 -timeout 15m ./... $(if $(BROWSERARGS),-args $(BROWSERARGS))

kubernetes: ## the Helm chart: helm lint, the schemas of Kubernetes, and clusters of what it renders
	cd test/kubernetes && $(GO) vet ./... && $(GO) test -count=1 -timeout 20m ./...

faults: ## real faults on real processes, as a table: make faults FAULTARGS='-peer /usr/sbin/nats-server' (Linux, root)
	$(GO) test -count=1 -v -timeout 60m -run '^TestFaultsBesideAPeer$$' ./test/faults -args -all $(FAULTARGS)

mutate: ## which single changes of the source no test notices: make mutate [PACKAGE=sublist] [SAMPLE=200]
	$(GO) run ./test/mutate -least 90 $(if $(PACKAGE),-package $(PACKAGE)) $(if $(SAMPLE),-sample $(SAMPLE))

simulate: ## 10 000 schedules of whole clusters with their clients in memory, and as many of the mesh alone
	$(GO) test -count=1 -timeout 2h ./server -run '^Test(Server|Mesh)Simulation$$' -sim.seeds=10000 -mesh.seeds=10000

soak: ## three servers with clients of every kind for DURATION: what they hold must not grow (Linux)
	$(GO) test -count=1 -v -timeout 0 ./test/soak -soak.duration=$(DURATION) -soak.curve=$(CURDIR)/soak.svg

storm: ## 5 000 clients connect at once over TLS with bcrypt, while others work
	$(GO) test -count=1 -v -timeout 10m ./test/storm -storm.long

torture: ## each system call of a session with a broker fails in turn (Linux)
	$(GO) test -count=1 -v -timeout 3h ./test/torture -torture.all

windows: ## build the .exe and drive it under Wine (Debian: wine64, gcc-mingw-w64-x86-64)
	$(GO) test -count=1 -v -timeout 10m ./test/windows -wine

vuln: ## known vulnerabilities in what the binary calls, where their database can be reached
	@out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); status=$$?; echo "$$out"; \
	if echo "$$out" | grep -q 'fetching vulnerabilities'; then \
		echo "make vuln: NOTHING WAS CHECKED, the database cannot be reached: allow https://vuln.go.dev, or set GOVULNDB to a copy"; \
	else exit $$status; fi

release: ## everything of a release in dist/; SIGN='gpg --detach-sign --armor' signs its checksums
	$(GO) run ./util/release

release-test: ## packages and image of this processor: made twice, installed, upgraded, purged, run (Linux, root); RELEASEARGS='-release.all' for all systems
	$(GO) test -count=1 -v -timeout 60m ./util/release -run '^TestPackages$$' -release.packages $(RELEASEARGS)

# go test -fuzz would instrument the standard library, too: its counters of coverage, which are looked
# at after each execution, then take most of the time.
fuzz: ## every fuzz target for FUZZTIME each; FUZZ=FuzzFrame for those whose name begins so
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for p in $$(grep -l '^func $(FUZZ)' $$(git ls-files '*_test.go') | xargs -n 1 dirname | sort -u); do \
		$(GO) test -c -gcflags='gnatsd/...=-d=libfuzzer' -o "$$dir/fuzz" "./$$p" || exit 1; \
		for f in $$("$$dir/fuzz" -test.list '^Fuzz' | grep '^$(FUZZ)'); do \
			echo "$$p $$f"; \
			(cd "$$p" && "$$dir/fuzz" -test.run '^$$' -test.fuzz "^$$f\$$" -test.fuzztime $(FUZZTIME) -test.fuzzminimizetime 100x \
				-test.fuzzcachedir "$$($(GO) env GOCACHE)/fuzz/gnatsd/$$p") || exit 1; \
		done; \
	done
