// Package migrations holds the SQL of both schemas: gateway/ for the platform's
// own, slice/ for the database that each slice has. Files are numbered goose
// migrations, safe under the program version before and after them.
package migrations

import "embed"

//go:embed gateway/*.sql slice/*.sql
var FS embed.FS
