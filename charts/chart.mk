# The chart and the image. Included by the Makefile.

.PHONY: test-chart
test-chart: ## the chart through Helm 4 and 3, and before a real API server
	@tests/run controlplane chart

.PHONY: bless-chart
bless-chart: ## take what the chart renders now as right (tests/chart/golden.yaml; look at the diff)
	@BLESS=1 tests/run controlplane chart

.PHONY: image
image: ## the image for amd64 and arm64, without a daemon: target/image (IMAGE_ARCH=amd64 for one)
	@image/build.sh $(IMAGE_ARCH)

.PHONY: test-image
test-image: ## an image of quickly built binaries: what is in it, both run, packed twice alike
	@tests/run image

.PHONY: image-verify
image-verify: image ## the real image: the same, and a second build elsewhere gives the same digest (many minutes)
	@tests/image/run --again
