//go:build tools

// Package tools names the runner of the chart's unit tests. It needs a go.mod of its own because its own one
// replaces a module, which `go install` refuses.
package tools

import _ "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
