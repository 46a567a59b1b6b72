package provisionertest

import (
	"testing"

	"ipnoelp.io/platform/provisioner"
)

func TestFakeRecords(t *testing.T) {
	r := NewRecords(7)
	TestRecords(t, r,
		func(t *testing.T) {
			if r.Claim("ana") == 0 {
				t.Fatal("nothing to claim")
			}
		},
		func(t *testing.T) {
			if n := r.Claim("ben"); n != 0 {
				t.Fatalf("claimed %d", n)
			}
		})
}

func TestFakeDatabases(t *testing.T) {
	d := NewDatabases()
	TestDatabases(t, d, 7, func(_ *testing.T, number int, url string) bool { return d.Login(number, url) })
}

func TestFakeVariables(t *testing.T) {
	v := NewVariables()
	TestVariables(t, v, 7, func(_ *testing.T, number int) (provisioner.Secrets, bool) { return v.Secrets(number) })
}

func TestFakeJobs(t *testing.T) {
	j := NewJobs(nil, nil)
	TestJobs(t, j, j, 7,
		func(_ *testing.T, number int) { j.Stop(number) },
		func(_ *testing.T, number int) { j.Start(number) })
}

func TestFakeCatalog(t *testing.T) {
	c := NewCatalog()
	TestCatalog(t, c, 7, func(_ *testing.T, number int, passing bool) { c.Set(number, passing) })
}
