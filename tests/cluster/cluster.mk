# The one-node Kubernetes. Included by the Makefile at the top.

.PHONY: cluster cluster-down

cluster: ## a one-node Kubernetes to play with, and a private registry (root)
	@tests/cluster/up

cluster-down: ## end it and remove everything of it
	@tests/cluster/down
