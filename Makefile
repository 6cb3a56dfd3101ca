# The commands of every day. `make help` lists them.
.PHONY: help demo test check build release

help: ## lists these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: ## runs the function with a fake Chime and a page to try it on
	cargo run --example local

test: ## runs all tests that need nothing but Rust
	cargo test --workspace

check: ## checks format, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

build: ## builds the binary that Lambda runs, for this machine's architecture
	cargo lambda build --release

release: ## builds the files of a release into target/release-files; publishes nothing
	scripts/release
