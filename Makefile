include cgo.mk

.PHONY: env
env: ## print the C++ build variables for a shell: eval "$(make -s env)"
	@printf 'export %s\n' 'CGO_ENABLED=$(CGO_ENABLED)' 'CGO_CXXFLAGS="$(CGO_CXXFLAGS)"' 'CGO_LDFLAGS="$(CGO_LDFLAGS)"' 'CPATH="$(CPATH)"' 'LIBRARY_PATH="$(LIBRARY_PATH)"'
