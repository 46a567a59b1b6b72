package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"ipnoelp.io/platform/migrations"
)

// Roles of the server. Slices have one role each, named by
// platform.SliceDatabase.
const (
	RoleOwner       = "platform_owner" // owns the gateway schema; nobody logs in as it
	RoleGateway     = "gateway"        // reads and writes the rows it serves
	RoleProvisioner = "provisioner"    // makes and drops the slices' databases and roles
	RoleTemplate    = "wa_template"    // owns the tables in the template database; nobody logs in as it
)

// DefaultDatabase holds the gateway schema.
const DefaultDatabase = "platform"

// PrepareOptions says what Prepare makes.
type PrepareOptions struct {
	Database            string // DefaultDatabase unless set
	GatewayPassword     string // left as it is when empty
	ProvisionerPassword string // left as it is when empty
}

// prepareLock keeps two runs of Prepare on one server apart.
const prepareLock = 0x70726570 // "prep"

// Prepare brings a server into the state that the programs expect: the roles,
// the database, and the gateway schema at its newest version. It runs as a
// superuser, changes nothing that is already right, and may run beside the
// programs that use the database.
func Prepare(ctx context.Context, superuserURL string, opts PrepareOptions) error {
	if opts.Database == "" {
		opts.Database = DefaultDatabase
	}
	conn, err := pgx.Connect(ctx, superuserURL)
	if err != nil {
		return fmt.Errorf("prepare: connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, prepareLock); err != nil {
		return fmt.Errorf("prepare: lock: %w", err)
	}
	if err := prepareRoles(ctx, conn, opts); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := prepareDatabase(ctx, conn, opts.Database); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	return migrateGateway(ctx, superuserURL, opts.Database)
}

func prepareRoles(ctx context.Context, conn *pgx.Conn, opts PrepareOptions) error {
	roles := []struct{ name, attributes, password string }{
		{RoleOwner, "NOLOGIN", ""},
		{RoleTemplate, "NOLOGIN", ""},
		{RoleGateway, "LOGIN", opts.GatewayPassword},
		{RoleProvisioner, "LOGIN CREATEDB CREATEROLE", opts.ProvisionerPassword},
	}
	for _, r := range roles {
		var exists bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, r.name).Scan(&exists); err != nil {
			return fmt.Errorf("role %s: %w", r.name, err)
		}
		verb := "CREATE"
		if exists {
			verb = "ALTER"
		}
		stmt := verb + " ROLE " + ident(r.name) + " " + r.attributes
		if r.password != "" {
			stmt += " PASSWORD " + literal(r.password)
		}
		if _, err := conn.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("role %s: %w", r.name, err)
		}
	}
	// The provisioner hands what the template role owns to each slice's role.
	if _, err := conn.Exec(ctx, `GRANT `+ident(RoleTemplate)+` TO `+ident(RoleProvisioner)); err != nil {
		return fmt.Errorf("grant template role: %w", err)
	}
	return nil
}

func prepareDatabase(ctx context.Context, conn *pgx.Conn, database string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&exists); err != nil {
		return fmt.Errorf("database %s: %w", database, err)
	}
	db := ident(database)
	if !exists {
		if _, err := conn.Exec(ctx, `CREATE DATABASE `+db+` OWNER `+ident(RoleOwner)); err != nil {
			return fmt.Errorf("database %s: %w", database, err)
		}
	}
	// A slice's role may connect to its own database and to no other.
	for _, stmt := range []string{
		`REVOKE ALL ON DATABASE ` + db + ` FROM PUBLIC`,
		`GRANT CONNECT ON DATABASE ` + db + ` TO ` + ident(RoleGateway) + `, ` + ident(RoleProvisioner),
		`REVOKE ALL ON DATABASE postgres FROM PUBLIC`,
		`REVOKE ALL ON DATABASE template1 FROM PUBLIC`,
	} {
		if _, err := conn.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("database %s: %s: %w", database, stmt, err)
		}
	}
	return nil
}

// migrateGateway applies migrations/gateway as the schema's owner.
func migrateGateway(ctx context.Context, superuserURL, database string) error {
	cfg, err := pgx.ParseConfig(superuserURL)
	if err != nil {
		return fmt.Errorf("migrate gateway: %w", err)
	}
	cfg.Database = database
	cfg.RuntimeParams["role"] = RoleOwner
	db := stdlib.OpenDB(*cfg)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS gateway`); err != nil {
		return fmt.Errorf("migrate gateway: schema: %w", err)
	}
	return migrate(ctx, db, "gateway", "gateway.goose_db_version")
}

// migrate applies every migration in the folder of package migrations that the
// version table does not hold yet.
func migrate(ctx context.Context, db *sql.DB, folder, versionTable string) error {
	files, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", folder, err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("migrate %s: %w", folder, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", folder, err)
	}
	return nil
}
