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
test-image: image ## the image: what is in it, both binaries run (AGAIN=--again: a second build elsewhere gives the same digest)
	@tests/image/run $(AGAIN)
