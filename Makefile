# What a developer types. Everything works in a fresh clone; `make test` says what is missing before it starts.
CARGO ?= cargo

.PHONY: demo test check bench deps build install
build: ; @scripts/need build && $(CARGO) build --release -p logboom-cli
demo: build ; @scripts/demo
check:
	@scripts/need build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -q -- -D warnings
	$(CARGO) test --workspace --lib --bins -q
test: ; @scripts/test
deps: ; @scripts/need test --install
bench: ; @scripts/need bench && scripts/bench
install: ; $(CARGO) install --locked --path crates/cli
