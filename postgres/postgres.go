// Package postgres adapts PostgreSQL: the stores over the gateway schema, and
// the making, migrating and dropping of the slices' databases.
package postgres

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// ident quotes a name for statements that take no parameters.
func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a text for statements that take no parameters. The server
// runs with standard_conforming_strings on, its default since 9.1.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
