//go:build integration

package sales

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

type stageList struct {
	Stages []Stage `json:"stages"`
}

func TestStages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := as[stageList](b, "GET", "/api/stages", "", 200).Stages
	made := as[Stage](b, "POST", "/api/stages", `{"name":" Visit ","color":"#0a84ff"}`, 201)
	if made.Name != "Visit" || made.Kind != "open" || made.Position != len(first)+1 {
		t.Errorf("made %+v", made)
	}
	b.do("POST", "/api/stages", `{"name":"vISIT"}`, 409)
	b.do("PATCH", "/api/stages/"+made.ID, `{"name":"Offer"}`, 409)
	if got := as[Stage](b, "PATCH", "/api/stages/"+made.ID, `{"name":"On site","color":"teal"}`, 200); got.Name != "On site" || got.Color != "teal" {
		t.Errorf("changed: %+v", got)
	}
	if got := as[Stage](b, "GET", "/api/stages/"+made.ID, "", 200); got.Name != "On site" {
		t.Errorf("got %+v", got)
	}
	ids := []string{made.ID}
	for _, s := range first {
		ids = append(ids, s.ID)
	}
	order := func(ids []string) string { return `{"ids":["` + strings.Join(ids, `","`) + `"]}` }
	b.do("PUT", "/api/stages/order", order(ids), 200)
	b.do("PUT", "/api/stages/order", order(ids[1:]), 400)
	b.do("PUT", "/api/stages/order", order(append(slices.Clone(ids), made.ID)), 400)
	b.do("PUT", "/api/stages/order", order(append([]string{"99"}, ids[1:]...)), 400)
	for i, s := range as[stageList](b, "GET", "/api/stages", "", 200).Stages {
		if s.ID != ids[i] || s.Position != i+1 {
			t.Errorf("stage %d is %+v, want %s", i, s, ids[i])
		}
	}

	// Deals go where they are told to, after those that are there.
	won := ids[3]
	b.deal("there", won)
	b.deal("a", made.ID)
	b.deal("b", made.ID)
	b.events()
	b.do("DELETE", "/api/stages/"+made.ID, "", 409)
	b.do("DELETE", "/api/stages/"+made.ID+"?move_to="+made.ID, "", 400)
	b.do("DELETE", "/api/stages/"+made.ID+"?move_to=99", "", 400)
	if got := b.events(); len(got) != 0 {
		t.Errorf("refused, but told %v", got)
	}
	b.do("DELETE", "/api/stages/"+made.ID+"?move_to="+won, "", 204)
	if got, want := b.events(), []string{"deal:moved", "deal:moved", "stage:deleted"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if got := b.titles(won); !slices.Equal(got, []string{"there", "a", "b"}) {
		t.Errorf("moved: %v", got)
	}
	for _, d := range as[dealPage](b, "GET", "/api/deals?stage="+won, "", 200).Deals {
		if d.ClosedAt == nil {
			t.Errorf("%s is not closed", d.Title)
		}
	}
	b.do("PATCH", "/api/stages/"+won, `{"kind":"open"}`, 200)
	for _, d := range as[dealPage](b, "GET", "/api/deals?stage="+won, "", 200).Deals {
		if d.ClosedAt != nil {
			t.Errorf("%s is still closed", d.Title)
		}
	}
	for _, id := range []string{ids[1], ids[2], ids[4]} {
		b.do("DELETE", "/api/stages/"+id, "", 204)
	}
	for _, d := range as[dealPage](b, "GET", "/api/deals", "", 200).Deals {
		b.do("DELETE", "/api/deals/"+d.ID, "", 204)
	}
	b.do("DELETE", "/api/stages/"+won, "", 409)
	b.do("GET", "/api/stages/"+won, "", 200)
}

type history struct {
	History    []Change `json:"history"`
	NextCursor *string  `json:"next_cursor"`
}

func TestDeals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	contact := b.contact("Ana 100%")
	made := as[Deal](b, "POST", "/api/deals", `{"title":"<b>Cake'; DROP TABLE deals</b>","contact_id":"`+contact+`","value":12050,"currency":"JPY","expected_date":"2026-12-24"}`, 201)
	if made.StageID != "1" || *made.ContactName != "Ana 100%" || made.Value != 12050 || made.Currency != "JPY" || *made.ExpectedDate != "2026-12-24" || made.ClosedAt != nil {
		t.Errorf("made %+v", made)
	}
	b.deal("Other", "2")
	got := as[Deal](b, "PATCH", "/api/deals/"+made.ID, `{"expected_date":null,"value":99}`, 200)
	if got.ExpectedDate != nil || got.Value != 99 || got.Title != made.Title || *got.ContactID != contact {
		t.Errorf("changed: %+v", got)
	}
	b.do("PATCH", "/api/deals/"+made.ID, `{"value":99}`, 200) // nothing changes
	won := b.move(made.ID, "3", "")
	lost := b.move(made.ID, "4", "")
	if won.ClosedAt == nil || lost.ClosedAt == nil || !lost.ClosedAt.After(*won.ClosedAt) {
		t.Errorf("closed at %v, then %v", won.ClosedAt, lost.ClosedAt)
	}
	if open := b.move(made.ID, "1", ""); open.ClosedAt != nil {
		t.Errorf("open again, but closed at %v", open.ClosedAt)
	}
	if got, want := b.events(), []string{"deal:created", "deal:created", "deal:updated", "deal:moved", "deal:moved", "deal:moved"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}

	var stages []any
	pages := 0
	for cursor := ""; ; pages++ {
		page := as[history](b, "GET", "/api/deals/"+made.ID+"/history?limit=2"+cursor, "", 200)
		for _, c := range page.History {
			if v, ok := c.Changes["stage"]; ok {
				stages = append(stages, v[1])
			}
			if v, ok := c.Changes["value"]; ok && fmt.Sprint(v) != "[12050 99]" && fmt.Sprint(v) != "[<nil> 12050]" {
				t.Errorf("value changed %v", v)
			}
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if fmt.Sprint(stages) != "[New Lost Won New]" || pages != 2 {
		t.Errorf("stages %v in %d pages", stages, pages+1)
	}

	for query, want := range map[string]int{"q=cake": 1, "q=100%25": 1, "q=%25": 1, "q=_": 0, "q=nobody": 0, "contact=" + contact: 1, "stage=2": 1, "stage=2&q=cake": 0, "limit=1": 1, "": 2, "stage=99": 0} {
		if got := as[dealPage](b, "GET", "/api/deals?"+query, "", 200); len(got.Deals) != want {
			t.Errorf("%s: %d deals, want %d", query, len(got.Deals), want)
		}
	}
	page := as[dealPage](b, "GET", "/api/deals?limit=1", "", 200)
	if rest := as[dealPage](b, "GET", "/api/deals?limit=1&cursor="+*page.NextCursor, "", 200); rest.Deals[0].ID != made.ID || rest.NextCursor != nil {
		t.Errorf("the second page: %+v", rest)
	}
	b.do("GET", "/api/deals/"+made.ID, "", 200)
	b.do("DELETE", "/api/deals/"+made.ID, "", 204)
	b.do("GET", "/api/deals/"+made.ID, "", 404)
	b.do("DELETE", "/api/deals/"+made.ID, "", 404)
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		b.do("POST", "/api/deals", fmt.Sprintf(`{"title":"d%d","value":%d}`, i, maxValue), 201)
	}
	b.do("POST", "/api/deals", `{"title":"d3","value":5,"currency":"USD"}`, 201)
	board := as[struct{ Stages []Column }](b, "GET", "/api/pipeline?limit=2", "", 200).Stages
	if len(board) != 4 || board[0].Count != 4 || len(board[0].Deals) != 2 || board[1].Count != 0 {
		t.Fatalf("got %+v", board)
	}
	if want := []Sum{{"EUR", 3, 3 * maxValue}, {"USD", 1, 5}}; !slices.Equal(board[0].Sums, want) {
		t.Errorf("sums %+v, want %+v", board[0].Sums, want)
	}
	rest := as[dealPage](b, "GET", "/api/deals?stage=1&cursor="+*board[0].NextCursor, "", 200).Deals
	if len(rest) != 2 || rest[0].Title != "d2" {
		t.Errorf("the rest: %+v", rest)
	}
}

func TestOrderWithinAStage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make(map[string]string)
	for _, title := range []string{"a", "b", "c", "d"} {
		ids[title] = b.deal(title, "1").ID
	}
	want := func(order string) {
		t.Helper()
		if got := strings.Join(b.titles("1"), ""); got != order {
			t.Errorf("order %s, want %s", got, order)
		}
	}
	b.move(ids["d"], "1", `,"before_id":"`+ids["a"]+`"`)
	want("dabc")
	b.move(ids["d"], "1", `,"after_id":"`+ids["b"]+`"`)
	want("abdc")
	b.move(ids["a"], "1", `,"before_id":null,"after_id":null`)
	want("bdca")
	// Until there is no room between two, and far beyond.
	b.events()
	for range 40 {
		b.move(ids["a"], "1", `,"after_id":"`+ids["b"]+`"`)
		b.move(ids["c"], "1", `,"after_id":"`+ids["b"]+`"`)
	}
	want("bcad")
	if !slices.Contains(b.events(), "stage:updated") {
		t.Error("positions were not made anew")
	}
	elsewhere := b.deal("x", "2")
	b.do("POST", "/api/deals/"+ids["a"]+"/move", `{"stage_id":"1","after_id":"`+elsewhere.ID+`"}`, 409)
	want("bcad")
}

// Whatever many people do at a time, nothing is lost and no two deals have one
// place.
func TestConcurrentMoves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const deals, rounds = 8, 12
	ids := make([]string, deals)
	for i := range ids {
		ids[i] = b.deal(fmt.Sprint(i), "1").ID
	}
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() {
			for n := range rounds {
				stage := fmt.Sprint(1 + (i+n)%2)
				body := fmt.Sprintf(`{"stage_id":%q,"before_id":%q}`, stage, ids[(i+n+1)%deals])
				if n%3 == 0 {
					body = fmt.Sprintf(`{"stage_id":%q}`, stage)
				}
				if status, answer, err := b.ask("POST", "/api/deals/"+id+"/move", body); err != nil || status != 200 && status != 409 && status != 400 {
					t.Errorf("%s: %d %s, %v", body, status, answer, err)
				}
			}
		})
	}
	all.Go(func() { // and a stage comes and goes
		for n := range rounds {
			stage := as[Stage](b, "POST", "/api/stages", fmt.Sprintf(`{"name":"s%d"}`, n), 201)
			b.move(ids[n%deals], stage.ID, "")
			b.do("DELETE", "/api/stages/"+stage.ID+"?move_to=1", "", 204)
		}
	})
	all.Wait()
	var count, places int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT (stage_id, position)) FROM deals`).Scan(&count, &places); err != nil {
		t.Fatal(err)
	}
	if count != deals || places != deals {
		t.Errorf("%d deals at %d places, want %d", count, places, deals)
	}
}
