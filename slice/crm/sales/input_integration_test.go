//go:build integration

package sales

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ipnoelp.io/platform/problem"
)

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deal := b.deal("Cake", "1")
	task := as[Task](b, "POST", "/api/tasks", `{"title":"Call"}`, 201)
	b.events()
	long := strings.Repeat("x", 300)
	state := func() (s string) {
		err := b.pool.QueryRow(t.Context(), `SELECT concat((SELECT json_agg(s ORDER BY id) FROM stages s), (SELECT json_agg(d ORDER BY id) FROM deals d),
			(SELECT json_agg(t ORDER BY id) FROM tasks t), (SELECT json_agg(h ORDER BY id) FROM deal_history h))`).Scan(&s)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	type bad struct {
		method, path, body string
		status             int
		field              string
	}
	cases := []bad{
		{"POST", "/api/stages", `{}`, 400, "name"},
		{"POST", "/api/stages", ``, 415, ""},
		{"POST", "/api/stages", `[]`, 400, ""},
		{"POST", "/api/stages", `{"name":`, 400, ""},
		{"POST", "/api/stages", `{"name":"  "}`, 400, "name"},
		{"POST", "/api/stages", `{"name":"` + long + `"}`, 400, "name"},
		{"POST", "/api/stages", `{"name":"a\u0000"}`, 400, "name"},
		{"POST", "/api/stages", `{"name":"a","kind":"maybe"}`, 400, "kind"},
		{"POST", "/api/stages", `{"name":"a","color":"url(javascript:x)"}`, 400, "color"},
		{"POST", "/api/stages", `{"name":"a","position":1}`, 400, "position"},
		{"POST", "/api/stages", `{"name":"new"}`, 409, ""},
		{"POST", "/api/stages", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, ""},
		{"PATCH", "/api/stages/1", `{"kind":7}`, 400, "kind"},
		{"PATCH", "/api/stages/1", `{"name":"OFFER"}`, 409, ""},
		{"PATCH", "/api/stages/77", `{}`, 404, ""},
		{"PUT", "/api/stages/order", `{}`, 400, "ids"},
		{"PUT", "/api/stages/order", `{"ids":[1]}`, 400, "ids"},
		{"PUT", "/api/stages/order", `{"ids":["1","2","3"]}`, 400, "ids"},
		{"DELETE", "/api/stages/1", ``, 409, ""},
		{"DELETE", "/api/stages/1?move_to=x", ``, 400, "move_to"},
		{"DELETE", "/api/stages/1?move_to=", ``, 400, "move_to"},
		{"DELETE", "/api/stages/1?move_to=99", ``, 400, "move_to"},
		{"DELETE", "/api/stages/77", ``, 404, ""},

		{"GET", "/api/pipeline?limit=201", ``, 400, "limit"},
		{"GET", "/api/pipeline?limit=x", ``, 400, "limit"},
		{"GET", "/api/deals?stage=x", ``, 400, "stage"},
		{"GET", "/api/deals?stage=", ``, 400, "stage"},
		{"GET", "/api/deals?stage=1&stage=2", ``, 400, "stage"},
		{"GET", "/api/deals?contact=-1", ``, 400, "contact"},
		{"GET", "/api/deals?q=%00", ``, 400, "q"},
		{"GET", "/api/deals?q=%ff", ``, 400, "q"},
		{"GET", "/api/deals?q=" + long, ``, 400, "q"},
		{"GET", "/api/deals?cursor=x", ``, 400, "cursor"},
		{"GET", "/api/deals?cursor=eyJ0IjowLCJpIjoiYSJ9", ``, 400, "cursor"}, // {"t":0,"i":"a"}
		{"POST", "/api/deals", `{}`, 400, "title"},
		{"POST", "/api/deals", `{"title":7}`, 400, "title"},
		{"POST", "/api/deals", `{"title":"` + long + `"}`, 400, "title"},
		{"POST", "/api/deals", `{"title":"a","stage_id":1}`, 400, "stage_id"},
		{"POST", "/api/deals", `{"title":"a","stage_id":"x"}`, 400, "stage_id"},
		{"POST", "/api/deals", `{"title":"a","stage_id":"77"}`, 400, "stage_id"},
		{"POST", "/api/deals", `{"title":"a","contact_id":"77"}`, 400, "contact_id"},
		{"POST", "/api/deals", `{"title":"a","contact_id":"1; DROP TABLE deals"}`, 400, "contact_id"},
		{"POST", "/api/deals", `{"title":"a","contact_id":7}`, 400, "contact_id"},
		{"POST", "/api/deals", `{"title":"a","value":-1}`, 400, "value"},
		{"POST", "/api/deals", `{"title":"a","value":1.5}`, 400, "value"},
		{"POST", "/api/deals", `{"title":"a","value":"1"}`, 400, "value"},
		{"POST", "/api/deals", `{"title":"a","value":1000000000000001}`, 400, "value"},
		{"POST", "/api/deals", `{"title":"a","value":1e300}`, 400, "value"},
		{"POST", "/api/deals", `{"title":"a","currency":"eur"}`, 400, "currency"},
		{"POST", "/api/deals", `{"title":"a","currency":"DEM"}`, 400, "currency"},
		{"POST", "/api/deals", `{"title":"a","currency":"XYZ"}`, 400, "currency"},
		{"POST", "/api/deals", `{"title":"a","currency":""}`, 400, "currency"},
		{"POST", "/api/deals", `{"title":"a","expected_date":"2026-02-30"}`, 400, "expected_date"},
		{"POST", "/api/deals", `{"title":"a","expected_date":"0001-01-01"}`, 400, "expected_date"},
		{"POST", "/api/deals", `{"title":"a","expected_date":""}`, 400, "expected_date"},
		{"POST", "/api/deals", `{"title":"a","closed_at":null}`, 400, "closed_at"},
		{"PATCH", "/api/deals/" + deal.ID, `{"title":" "}`, 400, "title"},
		{"PATCH", "/api/deals/" + deal.ID, `{"stage_id":"2"}`, 400, "stage_id"},
		{"PATCH", "/api/deals/" + deal.ID, `{"contact_id":"77"}`, 400, "contact_id"},
		{"PATCH", "/api/deals/77", `{}`, 404, ""},
		{"POST", "/api/deals/" + deal.ID + "/move", `{}`, 400, "stage_id"},
		{"POST", "/api/deals/" + deal.ID + "/move", `{"stage_id":"77"}`, 400, "stage_id"},
		{"POST", "/api/deals/" + deal.ID + "/move", `{"stage_id":"1","before_id":"x"}`, 400, "before_id"},
		{"POST", "/api/deals/" + deal.ID + "/move", `{"stage_id":"1","before_id":"77"}`, 409, "before_id"},
		{"POST", "/api/deals/" + deal.ID + "/move", `{"stage_id":"1","after_id":"` + deal.ID + `"}`, 400, "after_id"},
		{"POST", "/api/deals/" + deal.ID + "/move", `{"stage_id":"1","after_id":"1","before_id":"1"}`, 400, "after_id"},
		{"POST", "/api/deals/77/move", `{"stage_id":"1"}`, 404, ""},
		{"GET", "/api/deals/77/history", ``, 404, ""},
		{"GET", "/api/deals/" + deal.ID + "/history?cursor=eyJ0IjowLCJpIjoiYSJ9", ``, 400, "cursor"},

		{"GET", "/api/tasks?due=never", ``, 400, "due"},
		{"GET", "/api/tasks?due=", ``, 400, "due"},
		{"GET", "/api/tasks?done=1", ``, 400, "done"},
		{"GET", "/api/tasks?tz=Mars", ``, 400, "tz"},
		{"GET", "/api/tasks?contact=x", ``, 400, "contact"},
		{"GET", "/api/tasks?deal=9223372036854775808", ``, 400, "deal"},
		{"GET", "/api/tasks?cursor=eyJ0IjowLCJpIjoiYSJ9", ``, 400, "cursor"},
		{"POST", "/api/tasks", `{}`, 400, "title"},
		{"POST", "/api/tasks", `{"title":"a","text":"` + strings.Repeat("x", 10_001) + `"}`, 400, "text"},
		{"POST", "/api/tasks", `{"title":"a","text":"\u0000"}`, 400, "text"},
		{"POST", "/api/tasks", `{"title":"a","due_at":"tomorrow"}`, 400, "due_at"},
		{"POST", "/api/tasks", `{"title":"a","due_at":"9999-01-01T00:00:00Z"}`, 400, "due_at"},
		{"POST", "/api/tasks", `{"title":"a","due_at":7}`, 400, "due_at"},
		{"POST", "/api/tasks", `{"title":"a","deal_id":"77"}`, 400, "deal_id"},
		{"POST", "/api/tasks", `{"title":"a","contact_id":"77"}`, 400, "contact_id"},
		{"PATCH", "/api/tasks/" + task.ID, `{"done":"yes"}`, 400, "done"},
		{"PATCH", "/api/tasks/" + task.ID, `{"deal_id":"77"}`, 400, "deal_id"},
		{"PATCH", "/api/tasks/77", `{}`, 404, ""},
	}
	for _, path := range []string{"/api/stages/", "/api/deals/", "/api/tasks/"} {
		for _, id := range []string{"77", "x", "0", "-1", "01", "9223372036854775808", "1%27%20OR%20true", "..%2f1"} {
			cases = append(cases, bad{"GET", path + id, ``, 404, ""}, bad{"PATCH", path + id, `{}`, 404, ""}, bad{"DELETE", path + id, ``, 404, ""})
		}
	}
	for _, c := range cases {
		name := fmt.Sprintf("%s %s %.80s", c.method, c.path, c.body)
		status, answer, err := b.ask(c.method, c.path, c.body)
		var p problem.Details
		if err != nil || status != c.status || json.Unmarshal(answer, &p) != nil || p.Detail == "" {
			t.Errorf("%s: %d %s, %v, want %d", name, status, answer, err, c.status)
			continue
		}
		if c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != c.field) {
			t.Errorf("%s: %s, want the field %s named", name, answer, c.field)
		}
	}
	if after := state(); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if got := b.events(); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}
