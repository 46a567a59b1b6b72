// Package reports are figures over what the other parts of the CRM keep. They
// are counted when somebody asks, in one or two queries each.
//
// Days are those of the user's time zone; where they begin is computed here, so
// that the database needs to know no time zone.
package reports
