# SPDX-License-Identifier: MIT
# The front door. It installs what a target needs and calls the tool that knows how; the build itself is meson's.
#
#   make             the library, its tests and examples, in build/
#   make demo        builds and runs the demonstration: under a minute, loopback only
#   make test        everything; ends with `N passed, N failed, N skipped`
#   make bench       measures against a raw epoll server and libuv
#   make install     PREFIX=/usr/local DESTDIR= LIBDIR=lib
#   make lint        static checks;  make format: clang-format on every source
#   make clean

PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
WERROR ?= true

BUILD_TOOLS = cc:gcc /usr/include/stdlib.h:libc6-dev python3 meson ninja:ninja-build
PYTHON = python3

.PHONY: all demo test bench install lint format clean

all:
	@tools/need.sh $(BUILD_TOOLS)
	@$(PYTHON) tools/build.py -D werror=$(WERROR)

demo:
	@tools/need.sh $(BUILD_TOOLS)
	@$(PYTHON) tools/build.py -D werror=$(WERROR)
	@build/demo/demo build/demo/timeline.svg

test:
	@tools/need.sh $(BUILD_TOOLS) pkg-config
	@$(PYTHON) tools/test.py --install

bench:
	@tools/need.sh $(BUILD_TOOLS) pkg-config
	@tools/need.sh --optional /usr/include/uv.h:libuv1-dev
	@$(PYTHON) bench/run.py

install:
	@tools/need.sh $(BUILD_TOOLS)
	@$(PYTHON) tools/build.py --variant install --prefix "$(PREFIX)" -D libdir="$(LIBDIR)"
	@meson install -C build/variants/install --no-rebuild $(if $(DESTDIR),--destdir "$(abspath $(DESTDIR))")
	@$(if $(DESTDIR),:,ldconfig 2>/dev/null || :)

lint:
	@tools/need.sh $(BUILD_TOOLS) clang-format clang-tidy clang
	@$(PYTHON) tools/lint.py

format:
	@tools/need.sh clang-format
	@tools/format.sh

clean:
	rm -rf build compile_commands.json
