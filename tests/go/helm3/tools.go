//go:build tools

// Package tools names the program this module is there to build.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
