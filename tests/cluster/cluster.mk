# The one-node Kubernetes. Included by the Makefile at the top.

.PHONY: cluster cluster-down soak

cluster: ## a one-node Kubernetes with pullpass, and a private registry (root)
	@tests/cluster/playground

cluster-down: ## end it and remove everything of it
	@tests/cluster/down

soak: ## pods are created all the time while pullpass is upgraded, killed, drained... (root; ten minutes)
	@$(CARGO) build --locked --features demo --bins
	@tests/cluster/soak
