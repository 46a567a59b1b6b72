// Package platform is the domain of a multi-tenant WhatsApp CRM: users, their
// sessions, the slices that serve them, and the errors the layers exchange.
//
// A slice is one tenant's isolated container: a CRM backend and a Chromium
// that holds the tenant's WhatsApp Web session. This package imports only the
// standard library; everything that talks to the outside lives in packages
// named for the technology they adapt.
package platform
