.DEFAULT_GOAL := help
STACK := go run ./cmd/stack

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

up: ## start the whole platform on this machine (root)
	@$(STACK) up

status: ## show each part and its health
	@$(STACK) status

down: ## stop everything, keep the data
	@$(STACK) down

destroy: ## stop everything, remove the data
	@$(STACK) destroy

env: ## print exports for the nomad and consul command lines
	@$(STACK) env

unit: ## tests that need no server
	go test ./...

test: ## every test, against the real parts (root)
	$(STACK) test

TIME ?= 30s
fuzz: ## each fuzzer for TIME (30s)
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(TIME) $$p || exit 1; \
		done; \
	done

lint: ## golangci-lint, built from its pinned module
	cd tools/golangci-lint && GOFLAGS=-mod=readonly go build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	./bin/golangci-lint run ./...

.PHONY: help up status down destroy env unit test fuzz lint

bench-claim: ## from a sign-up to its answer, with warm slices there
	@go run ./bench claim

bench-provision: ## from requested to warm, beside a bare docker run
	@go run ./bench provision

bench-slice-start: ## from a slice's container start to its QR code, beside Chromium's own start
	@go run ./bench slice-start

bench-slice-memory: ## a slice's memory with a large account, beside the prototype's
	@go run ./bench slice-memory

bench-inbox: ## list, thread, search and inbound messages at 200,000 messages
	@go run ./bench inbox

bench-gateway: ## CPU time per proxied request, beside nginx, Caddy and others (root)
	@go run ./bench gateway $(PEERS)

bench-websocket: ## memory and relay delay of 5,000 proxied WebSockets, beside nginx (root)
	@go run ./bench websocket

bench-routes: ## CPU time per proxied request with 10, 1,000 and 10,000 slices in Consul (root)
	@go run ./bench routes

bench-claims: ## 100 sign-ups a second for 30 s, with warm slices for all (root)
	@go run ./bench claims

bench-allocations: ## allocations on a request's way through the gateway
	go test -run '^$$' -bench . -benchmem ./gateway ./gateway/auth ./gateway/proxy ./gateway/upstream ./consul ./cmd/gateway

soak-slice: ## messages in and out for MINUTES (5) while things break
	@MINUTES=$(MINUTES) go run ./bench soak-slice

.PHONY: bench-claim bench-provision bench-slice-start bench-slice-memory bench-inbox bench-gateway bench-websocket bench-routes bench-claims bench-allocations soak-slice
