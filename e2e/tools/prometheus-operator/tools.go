//go:build tools

// Package tools pins the Prometheus operator.
package tools

import (
	_ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
)
