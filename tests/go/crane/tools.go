//go:build tools

// Package tools names the program this module is there to build.
package tools

import _ "github.com/google/go-containerregistry/cmd/crane"
