# Thin: each target is one or two commands that you could type yourself.
PRESET ?= release
BUILD := build/$(PRESET)
BOBBY := $(BUILD)/bin/bobby
PROMPT ?= write about coffee

.PHONY: post test bench fmt lint check-macos build setup-build setup-test clean

post: setup-build build  ## build, fetch the demo model, print three posts in the demo voice
	@tools/demo_model.sh $(BOBBY)
	@$(BOBBY) post 3 "$(PROMPT)" --adapter assets/demo-voice/adapter --stream

test: setup-test  ## every check of the project
	@tools/test.sh

bench: setup-test  ## micro-benchmarks of the kernels, beside their limits
	@cmake --preset $(PRESET) -DBOBBY_BUILD_BENCH=ON
	@cmake --build --preset $(PRESET)
	@for bench in $(BUILD)/bench/*_bench; do $$bench; done

fmt:  ## format every C++ file in place
	@git ls-files '*.h' '*.c' '*.cpp' '*.cu' '*.cuh' | xargs clang-format -i

lint: setup-test  ## formatting, clang-tidy, include directions
	@tools/lint.sh tidy

check-macos: setup-test  ## everything compiled for Apple silicon, without a Mac; nothing linked
	@cmake --preset macos-check -DBOBBY_MACOS_HEADERS="$$(tools/macos_headers.sh)" -DMLX_HEADERS="$$(tools/mlx_packages.sh)/include" >/dev/null
	@cmake --build --preset macos-check

build: $(BUILD)/build.ninja
	@cmake --build --preset $(PRESET) --target bobby -- --quiet

$(BUILD)/build.ninja:
	@mkdir -p build
	@cmake --preset $(PRESET) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }

setup-build:
	@tools/setup.sh

setup-test:
	@tools/setup.sh test

clean:
	rm -rf build
