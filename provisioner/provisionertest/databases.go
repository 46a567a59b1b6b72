package provisionertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ipnoelp.io/platform"
	"ipnoelp.io/platform/provisioner"
)

// Databases are databases and roles in memory. It is safe for concurrent use.
type Databases struct {
	Faults

	mu        sync.Mutex     // guards the following fields
	roles     map[int]string // the password
	databases map[int]bool
}

var _ provisioner.Databases = (*Databases)(nil)

// NewDatabases returns an empty server.
func NewDatabases() *Databases {
	return &Databases{roles: make(map[int]string), databases: make(map[int]bool)}
}

func (d *Databases) EnsureRole(_ context.Context, number int, password string) error {
	if err := d.fault("ensure-role", number); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.roles[number] = password
	return nil
}

func (d *Databases) EnsureDatabase(_ context.Context, number int) error {
	if err := d.fault("ensure-database", number); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.roles[number]; !ok {
		return fmt.Errorf("role %s does not exist", platform.SliceDatabase(number))
	}
	d.databases[number] = true
	return nil
}

func (d *Databases) URL(number int, password string) string {
	name := platform.SliceDatabase(number)
	return "postgres://" + name + ":" + password + "@fake/" + name
}

func (d *Databases) DropDatabase(_ context.Context, number int) error {
	if err := d.fault("drop-database", number); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.databases, number)
	return nil
}

func (d *Databases) DropRole(_ context.Context, number int) error {
	if err := d.fault("drop-role", number); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.databases[number] {
		return fmt.Errorf("role %s owns a database", platform.SliceDatabase(number))
	}
	delete(d.roles, number)
	return nil
}

func (d *Databases) List(context.Context) (databases, roles []int, err error) {
	if err := d.fault("list-databases", 0); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.databases)), slices.Collect(maps.Keys(d.roles)), nil
}

// Login reports whether the slice gets in at the URL.
func (d *Databases) Login(number int, url string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	password, ok := d.roles[number]
	return ok && d.databases[number] && url == d.URL(number, password)
}
