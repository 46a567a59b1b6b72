package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// resident is memory in KiB.
type resident struct{ pss, rss, anonymous float64 }

func (m resident) since(before resident) resident {
	return resident{m.pss - before.pss, m.rss - before.rss, m.anonymous - before.anonymous}
}

func residentOf(p *program) (resident, error) { return residentOfProcess(p.cmd.Process.Pid) }

// residentOfAll adds up a program and its children.
func residentOfAll(p *program) (sum resident, err error) {
	all, err := childrenOf(p.cmd.Process.Pid)
	for _, pid := range append(all, p.cmd.Process.Pid) {
		m, processErr := residentOfProcess(pid)
		err = errors.Join(err, processErr)
		sum = resident{sum.pss + m.pss, sum.rss + m.rss, sum.anonymous + m.anonymous}
	}
	return sum, err
}

func childrenOf(pid int) (all []int, err error) {
	id := strconv.Itoa(pid)
	list, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "children"))
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		all = append(all, child)
	}
	return all, nil
}

func residentOfProcess(pid int) (m resident, err error) {
	rollup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return m, err
	}
	wanted := map[string]*float64{"Pss:": &m.pss, "Rss:": &m.rss, "Anonymous:": &m.anonymous}
	for line := range strings.Lines(string(rollup)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || wanted[fields[0]] == nil {
			continue
		}
		if *wanted[fields[0]], err = strconv.ParseFloat(fields[1], 64); err != nil {
			return m, fmt.Errorf("smaps_rollup: %q", line)
		}
	}
	return m, nil
}

// goMemory reads what the gateway's runtime says of itself.
func goMemory(ctx context.Context, addr string) (map[string]float64, error) {
	text, err := get(ctx, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "go_") {
			if values[name], err = strconv.ParseFloat(value, 64); err != nil {
				return nil, fmt.Errorf("metrics: %q", line)
			}
		}
	}
	return values, nil
}
