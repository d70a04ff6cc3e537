// What a Prometheus would scrape that was given a configuration: its own reader reads it, its own discovery asks the
// Kubernetes API, its own rules of relabelling leave out what is not wanted.
//
//	prometheus-targets CONFIGURATION KUBECONFIG     prints job and URL of each target, once every job has one
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/kubernetes"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
)

const patience = time.Minute

// Prometheus would run in the cluster; this process is told where it is.
func discoveries(jobs []*config.ScrapeConfig, kubeconfig string) map[string]discovery.Configs {
	found := map[string]discovery.Configs{}
	for _, job := range jobs {
		for _, one := range job.ServiceDiscoveryConfigs {
			if one, is := one.(*kubernetes.SDConfig); is {
				one.KubeConfig = kubeconfig
			}
		}
		found[job.JobName] = job.ServiceDiscoveryConfigs
	}
	return found
}

func run(file, kubeconfig string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	configuration, err := config.LoadFile(file, false, slog.Default())
	if err != nil {
		return err
	}
	jobs, err := configuration.GetScrapeConfigs()
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%s has no job", file)
	}
	registry := prometheus.NewRegistry()
	metrics, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return err
	}
	manager := discovery.NewManager(ctx, slog.Default(), registry, metrics, discovery.Updatert(time.Second))
	if err := manager.ApplyConfig(discoveries(jobs, kubeconfig)); err != nil {
		return err
	}
	go manager.Run()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not every job had a target within %s", patience)
		case groups := <-manager.SyncCh():
			var lines []string
			without := len(jobs)
			for _, job := range jobs {
				before := len(lines)
				for _, group := range groups[job.JobName] {
					targets, errs := scrape.TargetsFromGroup(group, job, nil, labels.NewBuilder(labels.EmptyLabels()))
					if len(errs) > 0 {
						return errs[0]
					}
					for _, target := range targets {
						lb := labels.NewBuilder(labels.EmptyLabels())
						if !target.Labels(lb).IsEmpty() {
							lines = append(lines, job.JobName+" "+target.URL().String())
						}
					}
				}
				if len(lines) > before {
					without--
				}
			}
			if without == 0 {
				sort.Strings(lines)
				for _, line := range lines {
					fmt.Println(line)
				}
				return nil
			}
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: prometheus-targets CONFIGURATION KUBECONFIG")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
