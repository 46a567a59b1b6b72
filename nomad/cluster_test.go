package nomad

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/gateway/cluster"
)

// agent answers as Nomad does, in the namespace of the slices and with the
// gateway's token alone.
func agent(t *testing.T, routes map[string]string) (*Cluster, *[]string) {
	t.Helper()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("namespace") != platform.SliceNamespace || r.Header.Get("X-Nomad-Token") != "token" {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		asked = append(asked, r.Method+" "+r.URL.Path)
		body, ok := routes[r.Method+" "+r.URL.Path]
		if !ok {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	client, err := NewClient(srv.URL, "token")
	if err != nil {
		t.Fatal(err)
	}
	return NewCluster(client, slog.New(slog.DiscardHandler)), &asked
}

var runningSlice = map[string]string{
	"GET /v1/allocations": `[
		{"ID":"old","JobID":"slice-7","CreateIndex":1,"ClientStatus":"complete","NodeName":"n0"},
		{"ID":"new","JobID":"slice-7","CreateIndex":9,"ClientStatus":"running","NodeName":"n1","NodeID":"id1","JobVersion":2,
		 "AllocatedResources":{"Tasks":{"slice":{"Cpu":{"CpuShares":50},"Memory":{"MemoryMB":256,"MemoryMaxMB":1024}}}},
		 "TaskStates":{"slice":{"State":"running","Restarts":3,"StartedAt":"2025-06-01T12:00:00Z"}}},
		{"ID":"other","JobID":"whatever","CreateIndex":9,"ClientStatus":"running"}]`,
	"GET /v1/allocation/new": `{"ID":"new","ClientStatus":"running","Job":{"TaskGroups":[{"Tasks":[
		{"Name":"slice","Config":{"image":"slice:1"},"Env":{"SECRET":"hidden"}}]}]},
		"TaskStates":{"slice":{"Events":[{"Type":"Received","Time":1,"DisplayMessage":"first"},{"Type":"Started","Time":2,"DisplayMessage":"second"}]}}}`,
	"GET /v1/client/allocation/new/stats":   `{"ResourceUsage":{"MemoryStats":{"RSS":0,"Usage":1000},"CpuStats":{"TotalTicks":12.5}}}`,
	"PUT /v1/client/allocation/new/restart": `{}`,
	"GET /v1/client/fs/logs/new":            "a line\n",
	"GET /v1/nodes": `[{"ID":"id2","Name":"n2","Status":"down"},
		{"ID":"id1","Name":"n1","Status":"ready","SchedulingEligibility":"eligible",
		 "NodeResources":{"Cpu":{"CpuShares":4000},"Memory":{"MemoryMB":8192}},"ReservedResources":{"Cpu":{"CpuShares":100},"Memory":{"MemoryMB":192}}}]`,
	"GET /v1/client/stats": `{"Memory":{"Total":100,"Available":60}}`,
}

func TestClusterTellsWhatRuns(t *testing.T) {
	c, asked := agent(t, runningSlice)
	i, err := c.Instance(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if i.ID != "new" || i.Node != "n1" || i.Image != "slice:1" || i.Restarts != 3 || i.Reserved != (cluster.Reserved{CPU: 50, Memory: 256, MemoryMax: 1024}) ||
		i.Usage == nil || i.Usage.Memory != 1000 || i.Usage.CPU != 12.5 || len(i.Events) != 2 || i.Events[0].Message != "second" || i.StartedAt.IsZero() {
		t.Errorf("instance %+v", i)
	}
	if b, _ := json.Marshal(i); strings.Contains(string(b), "hidden") {
		t.Errorf("tells what the job says: %s", b)
	}
	if _, err := c.Instance(t.Context(), 8); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("another slice: %v", err)
	}
	if text, err := c.Log(t.Context(), i.ID, "stdout", 100); err != nil || string(text) != "a line\n" {
		t.Errorf("log %q, %v", text, err)
	}
	if _, err := c.Log(t.Context(), "none", "stdout", 100); platform.CodeOf(err) != platform.ErrNotFound {
		t.Errorf("no log: %v", err)
	}
	if err := c.Restart(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
	nodes, err := c.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[0].Name != "n1" || nodes[0].CPU != 3900 || nodes[0].Memory != 8000<<20 || nodes[0].Available != 60 ||
		!nodes[0].Ready() || nodes[1].Ready() {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	before := len(*asked)
	if _, err := c.Instances(t.Context()); err != nil || len(*asked) != before {
		t.Errorf("asked again at once: %v, %v", (*asked)[before:], err)
	}
}

func TestClusterThatCannotBeAsked(t *testing.T) {
	client, err := NewClient("http://127.0.0.1:1", "token")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCluster(client, slog.New(slog.DiscardHandler))
	_, instances := c.Instances(t.Context())
	_, nodes := c.Nodes(t.Context())
	_, log := c.Log(t.Context(), "x", "stdout", 1)
	for what, err := range map[string]error{"instances": instances, "nodes": nodes, "log": log, "restart": c.Restart(t.Context(), "x")} {
		if platform.CodeOf(err) != platform.ErrUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if i := c.Look(t.Context(), []cluster.Instance{{ID: "x", Status: "running"}}); len(i) != 1 || i[0].Usage != nil {
		t.Errorf("looked at %+v", i)
	}
}
