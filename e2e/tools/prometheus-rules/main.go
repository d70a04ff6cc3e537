// Checks files of Prometheus rules with Prometheus' own reader, as `promtool check rules` does: prometheus-rules FILE …
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	wrong, rules := 0, 0
	for _, file := range os.Args[1:] {
		read := parser.NewParser(parser.Options{})
		groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, read, slog.Default())
		for _, err := range errs {
			fmt.Fprintln(os.Stderr, err)
		}
		wrong += len(errs)
		if groups != nil {
			for _, group := range groups.Groups {
				rules += len(group.Rules)
			}
		}
	}
	if wrong > 0 || rules == 0 {
		fmt.Fprintf(os.Stderr, "%d rules, %d errors\n", rules, wrong)
		os.Exit(1)
	}
	fmt.Printf("%d rules are in order for Prometheus\n", rules)
}
